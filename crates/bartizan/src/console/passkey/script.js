// Asks a passkey for what a form of this page wants, and sends the form. It reads the form's attributes, writes its fields,
// and asks nothing of anybody else.
'use strict';

const bytes = (text) => {
  const plain = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(plain, (c) => c.charCodeAt(0));
};
const text = (buffer) => {
  const plain = String.fromCharCode(...new Uint8Array(buffer ?? []));
  return btoa(plain).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
};
const known = (ids) => ids.split(' ').filter(Boolean).map((id) => ({ type: 'public-key', id: bytes(id) }));

async function use({ challenge, host, ids }) {
  const { rawId, response } = await navigator.credentials.get({
    publicKey: {
      challenge: bytes(challenge), rpId: host, allowCredentials: known(ids), userVerification: 'required', timeout: 240000,
    },
  });
  return {
    credential: rawId, authenticator: response.authenticatorData, client: response.clientDataJSON,
    signature: response.signature, user: response.userHandle,
  };
}

async function make({ challenge, host, ids, user, person }) {
  const { response } = await navigator.credentials.create({
    publicKey: {
      challenge: bytes(challenge), rp: { id: host, name: 'Bartizan' },
      user: { id: bytes(user), name: person, displayName: person },
      pubKeyCredParams: [{ type: 'public-key', alg: -7 }, { type: 'public-key', alg: -8 }],
      excludeCredentials: known(ids), attestation: 'none', timeout: 240000,
      authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
    },
  });
  return { client: response.clientDataJSON, attestation: response.attestationObject };
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const tell = (words) => { form.querySelector('[role=alert]').textContent = words; };
  if (!window.PublicKeyCredential) tell('This browser has no passkeys, or this page is not under TLS.');
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      tell('');
      const said = await (form.dataset.passkey === 'make' ? make : use)(form.dataset);
      for (const [name, value] of Object.entries(said)) form.elements[name].value = text(value);
      form.submit();
    } catch (error) {
      tell(error.name === 'InvalidStateError' ? 'This device holds one of your passkeys already.' : `The passkey gave no answer (${error.name}). Try again.`);
    }
  });
}
