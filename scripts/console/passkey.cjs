// Does a passkey do in a real Chromium what docs/console.md says: made, used to come in and to sign, worthless once revoked?
const { chromium } = require('playwright-core');
const { bartizan, check, looks, questions } = require('./look.cjs');

const [link, port, spki, shots] = process.argv.slice(2);
const origin = new URL(link).origin;

async function pressed(page, button) {
  await Promise.all([page.waitForNavigation(), page.click(button)]);
}

// A browser with an authenticator of its own, built into Chromium, which says what a finger would.
async function device(browser) {
  const page = await (await browser.newContext()).newPage();
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  return { page, cdp, authenticatorId, complaints };
}

async function main() {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox', `--host-resolver-rules=MAP ${new URL(link).hostname} 127.0.0.1:${port}`,
      // The console's own certificate, and no other one.
      `--ignore-certificate-errors-spki-list=${spki}`,
    ],
  });
  const { page, cdp, authenticatorId, complaints } = await device(browser);
  await page.goto(origin);
  check((await page.textContent('h1')) === 'Not signed in', 'nobody is in');
  await looks(page, 'sign-in', shots);
  await page.goto(link);
  await pressed(page, 'button.go');
  await page.waitForURL(`${origin}/`);
  await page.click('.who a');
  await page.waitForURL(`${origin}/passkeys`);
  await looks(page, 'passkeys-none', shots);
  await pressed(page, 'form[data-passkey] button');
  check((await page.textContent('table')).includes('my passkey'), 'a passkey is made');
  await looks(page, 'passkeys', shots);
  // Out, and in again by the passkey alone.
  await pressed(page, '.who button');
  await pressed(page, 'form[data-passkey] button');
  await page.waitForURL(`${origin}/`);
  check((await page.textContent('.who')).includes('web:ben'), 'it lets its owner in');
  // An answer is signed.
  const [first, second] = questions().filter((one) => one.state === 'pending');
  const state = (one) => questions().find((now) => now.id === one.id).state;
  await page.goto(`${origin}/questions/${first.id}`);
  await page.fill('form:has(input[value=approve]) textarea', 'as agreed');
  await pressed(page, 'form:has(input[value=approve]) button');
  check((await page.textContent('h1')) === 'Confirm with your passkey' && state(first) === 'pending', 'a yes is to be signed');
  await looks(page, 'confirm', shots);
  // Somebody who cannot show that it is them.
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
  await page.click('form[data-passkey] button');
  await page.waitForFunction(() => document.querySelector('[role=alert]').textContent !== '');
  check(state(first) === 'pending', 'who does not show that it is them approves nothing');
  await cdp.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
  await page.focus('form[data-passkey] button');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  check(page.url() === `${origin}/questions/${first.id}` && state(first) === 'approved', 'and counts when it is signed');
  const log = bartizan('audit', 'list', '--json', '--event', 'approval').trim().split('\n').map(JSON.parse);
  const { passkey } = log.find((record) => record.question === first.id);
  check(passkey.signed.includes(`\n${first.id}\n${first.digest}\n`), 'with the proof on the log');
  // Another one, by showing the first; the same device makes no second one.
  await page.goto(`${origin}/passkeys`);
  await pressed(page, 'form[data-passkey] button');
  await looks(page, 'passkeys-another', shots);
  await page.click('form[data-passkey] button');
  await page.waitForFunction(() => document.querySelector('[role=alert]').textContent.includes('already'));
  check(true, 'a device makes one');
  // Revoked while its owner is in, and about to answer.
  await page.goto(`${origin}/questions/${second.id}`);
  const [{ id }] = JSON.parse(bartizan('console', 'passkeys', '--json'));
  bartizan('console', 'revoke', id);
  await pressed(page, 'form:has(input[value=approve]) button');
  check((await page.textContent('h1')) === 'Not signed in' && state(second) === 'pending', 'who is in by a revoked one is out');
  await pressed(page, 'form[data-passkey] button');
  check((await page.textContent('body')).includes('was revoked'), 'and comes in by it no more');
  const odd = complaints.filter((text) => !/status of 40[14]/.test(text));
  check(odd.length === 0, `the browser complains of nothing: ${odd}`);
  await browser.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
