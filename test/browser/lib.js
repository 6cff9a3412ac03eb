// What the scripts share: a browser, people in it, and what they see.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { chromium } from 'playwright-core';

const DEADLINE = 180_000; // Milliseconds anything may take: it only ends what hangs.

const browser = await chromium.launch({ executablePath: process.env.ZENCONN_CHROMIUM, timeout: DEADLINE });
after(() => browser.close());

/** A browser window of its own, closed when the test ends. Anything it complains about or loads from elsewhere fails the test. */
export async function newWindow(t, options = {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(DEADLINE);
  const wrong = [];
  context.on('weberror', (error) => wrong.push(error.error().message));
  context.on('console', (message) => {
    // The browser itself reports connections that fail, which some tests bring about.
    if (message.type() === 'error' && !/WebSocket connection|ERR_|favicon/.test(message.text())) wrong.push(message.text());
  });
  context.on('request', (request) => {
    if (!/^(data:|http:\/\/127\.0\.0\.1:)/.test(request.url())) wrong.push(`loads ${request.url()}`);
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(wrong, []);
  });
  return context;
}

/** A tab in which somebody has typed a name and a room. */
export async function join(context, name, room, { direct = false } = {}) {
  const page = await context.newPage();
  await page.goto(direct ? process.env.ZENCONN_DIRECT_URL : process.env.ZENCONN_URL);
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Room').fill(room);
  await page.getByRole('button', { name: 'Join' }).click();
  return page;
}

/** A tab in which somebody is in a room. */
export async function online(...where) {
  const page = await join(...where);
  await status(page, /^Online$/);
  return page;
}

/** Waits until the page says this about its connection. */
export function status(page, pattern) {
  return page.locator('#status').filter({ hasText: pattern }).waitFor();
}

/** Writes a message and sends it. */
export async function say(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByLabel('Message', { exact: true }).press('Enter');
}

/** Waits until the page shows a message that arrived. */
export function hears(page, text) {
  return page.locator('#messages .bubble').getByText(text, { exact: true }).first().waitFor();
}

/** All messages that arrived, in order, as [author, text]. */
export function heard(page) {
  return page.locator('#messages .message').evaluateAll((items) => items.map((item) => [
    item.querySelector('.author').textContent, item.querySelector('.bubble').textContent,
  ]));
}

/** Waits until no message is on its way and none failed. */
export const allSent = (page) => page.locator('#outbox:empty').waitFor({ state: 'attached' });

/** Waits until exactly these people are shown. */
export async function people(page, names) {
  await page.waitForFunction((wanted) => {
    const shown = [...document.querySelectorAll('#people .author')].map((name) => name.textContent);
    return JSON.stringify(shown) === JSON.stringify(wanted);
  }, names);
}

/** Waits until something is true in the page, given an element. */
export const holds = async (locator, condition) => locator.page().waitForFunction(condition, await locator.elementHandle());

/** Waits until what the keyboard types goes there. */
export const focused = (locator) => holds(locator, (element) => document.activeElement === element);

/** The visible notice. */
export const notice = (page) => page.getByRole('alert').filter({ visible: true });

/** Does something to the server or the network: cut, restore, stop, kill, run. */
export async function control(action) {
  const response = await fetch(`${process.env.ZENCONN_CONTROL}/${action}`, { method: 'POST' });
  assert.equal(response.status, 200, `control ${action}: ${response.status}`);
}
