// What do the scripts of scripts/try-console share? How a page is looked at, and how a finding is told.
const axe = require('fs').readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const { execFileSync } = require('child_process');

const views = {
  light: { colorScheme: 'light', viewport: { width: 1280, height: 860 } },
  dark: { colorScheme: 'dark', viewport: { width: 1280, height: 860 } },
  phone: { colorScheme: 'light', viewport: { width: 390, height: 844 } },
};

function check(holds, what) {
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}`);
  if (!holds) process.exitCode = 1;
}

function bartizan(...words) {
  return execFileSync(process.env.BARTIZAN, words, { encoding: 'utf8' });
}

function questions() {
  return JSON.parse(bartizan('approvals', 'list', '--all', '--json'));
}

// The page as it stands, in each view.
async function looks(page, name, shots) {
  for (const [view, { colorScheme, viewport }] of Object.entries(views)) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(viewport);
    await page.screenshot({ path: `${shots}/${name}-${view}.png`, fullPage: true });
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document));
    const told = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).slice(0, 2).join(' | ')}`);
    check(told.length === 0, `${name} ${view}: axe-core ${told.join('; ')}`);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    check(!wide, `${name} ${view}: nothing runs off the side`);
  }
}

module.exports = { bartizan, check, looks, questions };
