// What does a person see and do in the console? Driven in a real Chromium; see scripts/try-console.
const { chromium } = require('playwright-core');
const { check, looks, questions } = require('./look.cjs');
const { execFileSync } = require('child_process');
const http = require('http');

const [link, shots] = process.argv.slice(2);
const origin = new URL(link).origin;

async function look(page, places) {
  for (const [name, place] of Object.entries(places)) {
    await page.goto(origin + place);
    await looks(page, name, shots);
  }
}

// A page of somebody else's on another port of the same host, which the browser sends our cookie along to.
async function forged(context, action, fields) {
  const inputs = Object.entries(fields).map(([n, v]) => `<input name="${n}" value="${v}">`).join('');
  const server = http.createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<form method="post" action="${action}">${inputs}</form><script>document.forms[0].submit()</script>`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const page = await context.newPage();
  const answer = page.waitForResponse((response) => response.url() === action);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const status = (await answer).status();
  await page.close();
  server.close();
  return status;
}

async function main() {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  const context = await browser.newContext();
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
  await page.goto(link);
  await page.waitForURL(`${origin}/`);
  check((await page.textContent('h1')) === 'Inbox', 'the link leads in');
  const waiting = questions().filter((one) => one.state === 'pending');
  check(waiting.length >= 2, `${waiting.length} questions wait`);
  const [first, second] = waiting;
  const [{ session: turned }] = JSON.parse(execFileSync(process.env.BARTIZAN, ['detect', 'runs', '--json']));
  const at = (one) => `/questions/${one.id}`;
  await look(page, {
    inbox: '/', question: at(first), runs: '/runs', run: `/runs/${first.session}`, log: '/log', record: '/log/3', nothing: '/none',
    agents: '/agents', agent: '/agents/coder', flagged: '/flagged', turned: `/runs/${turned}`,
  });
  check(complaints.filter((text) => !text.includes('404')).length === 0, `the browser complains of nothing: ${complaints}`);
  const other = await (await browser.newContext()).newPage();
  await other.goto(link);
  check((await other.textContent('h1')) !== 'Inbox', 'the link leads in once');
  const status = await forged(context, origin + at(second), {
    say: 'approve', life: 'once', digest: second.digest, policy: second.policy, form: '0',
  });
  check(status === 403, `a page on another port is turned away: ${status}`);
  check(questions().find((one) => one.id === second.id).state === 'pending', 'and has answered nothing');
  // With keys alone.
  await page.goto(origin + at(first));
  await page.keyboard.press('Tab');
  check((await page.evaluate(() => document.activeElement.textContent)).startsWith('Skip'), 'the first key skips the menu');
  await page.focus('form:has(input[value=approve]) textarea');
  await page.keyboard.type('looked at');
  await page.keyboard.press('Tab');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  check(questions().find((one) => one.id === first.id).state === 'approved', 'a question is approved by keys');
  await page.goto(origin + at(second));
  await page.fill('form:has(input[value=deny]) textarea', 'not this host');
  await Promise.all([page.waitForNavigation(), page.click('button.no')]);
  const denied = questions().find((one) => one.id === second.id);
  check(denied.state === 'denied' && denied.answers[0].reason === 'not this host', 'and one denied by a click');
  // A person's verdict on a run that a rule has flagged.
  await page.goto(`${origin}/flagged`);
  await Promise.all([page.waitForNavigation(), page.click(`a[href="/runs/${turned}"]`)]);
  await page.selectOption('select[name=verdict]', 'harmless');
  await page.fill('details.own textarea', 'a drill');
  await Promise.all([page.waitForNavigation(), page.click('details.own button')]);
  check((await page.textContent('ul.marks:last-of-type')) !== null, 'a verdict is shown with the run');
  const judged = JSON.parse(execFileSync(process.env.BARTIZAN, ['detect', 'runs', '--all', '--json']));
  check(judged.find((run) => run.session === turned).settled === 'harmless', 'and kept on the log');
  await browser.close();
}

main().catch((error) => { console.error(error); process.exit(1); });
