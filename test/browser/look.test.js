import assert from 'node:assert/strict';
import test from 'node:test';

import { focused, hears, holds, newWindow, online, say } from './lib.js';

const PHONE = { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true };

/** Waits until an element is whole in the window. */
const inside = (locator) => holds(locator, (element) => {
  const { top, left, bottom, right } = element.getBoundingClientRect();
  return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth;
});

/** Waits until a conversation shows its end. */
const atEnd = (page) => holds(page.locator('#scroller'), (s) => s.scrollHeight - s.scrollTop - s.clientHeight < 2);

const tooWide = (page) => page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

test('everything has its place on a phone', async (t) => {
  const context = await newWindow(t, PHONE);
  const page = await context.newPage();
  await page.goto(process.env.ZENCONN_URL);
  await inside(page.getByRole('button', { name: 'Join' }));
  assert.equal(await tooWide(page), false);
  await page.close();

  const ada = await online(context, 'A name of forty characters without space'.replaceAll(' ', '_'), 'small');
  await say(ada, 'Donaudampfschifffahrtsgesellschaft'.repeat(6));
  await ada.locator('#messages .message').waitFor();
  assert.equal(await tooWide(ada), false);
  await inside(ada.getByLabel('Message', { exact: true }));
  await inside(ada.getByRole('button', { name: 'Send' }));
  assert.equal(await ada.locator('#people li').isVisible(), false);
  await ada.getByRole('button', { name: 'People (1)' }).tap();
  await inside(ada.locator('#people li'));

  // The keyboard comes up: half of the screen is left, and the last message stays in sight.
  await ada.setViewportSize({ width: 360, height: 320 });
  await inside(ada.getByRole('button', { name: 'Send' }));
});

test('it is dark where the person likes it dark', async (t) => {
  const brightness = async (colorScheme) => {
    const ada = await online(await newWindow(t, { colorScheme }), 'Ada', 'light');
    const [ground, ink] = await ada.evaluate(() => {
      const style = getComputedStyle(document.querySelector('.chat'));
      return [style.backgroundColor, style.color].map((colour) => Math.max(...colour.match(/[\d.]+/g).slice(0, 3).map(Number)));
    });
    return { ground, ink };
  };
  const light = await brightness('light');
  const dark = await brightness('dark');
  assert.ok(light.ground > 200 && light.ink < 80, JSON.stringify(light));
  assert.ok(dark.ground < 80 && dark.ink > 200, JSON.stringify(dark));
});

test('somebody who reads further up is not pulled away', async (t) => {
  const context = await newWindow(t);
  const ada = await online(context, 'Ada', 'long');
  const bob = await online(context, 'Bob', 'long');
  for (let n = 1; n <= 30; n++) await say(bob, `line ${n}`);
  await hears(ada, 'line 30');
  await atEnd(ada);

  await ada.locator('#scroller').evaluate((s) => new Promise((done) => {
    s.addEventListener('scroll', () => requestAnimationFrame(done), { once: true });
    s.scrollTop = 0;
  }));
  await say(bob, 'news');
  await hears(ada, 'news');
  assert.equal(await ada.locator('#scroller').evaluate((s) => s.scrollTop), 0);
  await ada.getByRole('button', { name: '↓ 1 new message' }).click();
  await atEnd(ada);
  await ada.locator('#newer').waitFor({ state: 'hidden' });
});

test('the keyboard is enough, and every control has a name', async (t) => {
  const context = await newWindow(t);
  const page = await context.newPage();
  await page.goto(process.env.ZENCONN_URL);
  await focused(page.getByLabel('Your name'));
  await page.keyboard.type('Ada');
  await page.keyboard.press('Tab');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await page.locator('#status').getByText('Online').waitFor();
  await focused(page.getByLabel('Message', { exact: true }));
  await page.keyboard.type('first line');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second line');
  await page.keyboard.press('Enter');
  await hears(page, 'first line\nsecond line');
  const nameless = await page.locator('button, input, textarea, [role=region], [role=log]').evaluateAll((all) => all.filter((element) => {
    const labelled = element.labels?.length > 0 || element.getAttribute('aria-label') || element.textContent.trim();
    return element.checkVisibility() && !labelled;
  }).map((element) => element.outerHTML));
  assert.deepEqual(nameless, []);
});
