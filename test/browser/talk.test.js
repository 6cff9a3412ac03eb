import assert from 'node:assert/strict';
import test from 'node:test';

import { allSent, hears, heard, join, newWindow, notice, online, people, say, status } from './lib.js';

test('two tabs talk to each other and see each other', async (t) => {
  const context = await newWindow(t);
  const ada = await online(context, 'Ada', 'tea');
  await ada.getByText('It is quiet in here').waitFor();
  const bob = await online(context, 'Bob', 'Tea '); // The same room, typed differently.
  await people(ada, ['Ada (you)', 'Bob']);
  await people(bob, ['Ada', 'Bob (you)']);

  await say(ada, 'Hello Bob');
  await hears(bob, 'Hello Bob');
  await say(bob, 'Hello Ada');
  await hears(ada, 'Hello Ada');
  const all = [['Ada', 'Hello Bob'], ['Bob', 'Hello Ada']];
  assert.deepEqual(await heard(ada), all);
  assert.deepEqual(await heard(bob), all);
  await allSent(ada);
  await ada.getByText('It is quiet in here').waitFor({ state: 'hidden' });

  await bob.getByRole('button', { name: 'Leave' }).click();
  await people(ada, ['Ada (you)']);
  await bob.getByRole('button', { name: 'Join' }).waitFor();
  assert.equal(await bob.getByLabel('Your name').inputValue(), 'Bob');
});

test('a newcomer sees what was said, and a link opens its room', async (t) => {
  const ada = await online(await newWindow(t), 'Ada', 'archive');
  for (const text of ['one', 'two', 'three']) await say(ada, text);
  await hears(ada, 'three');
  assert.match(ada.url(), /#archive$/);

  const page = await (await newWindow(t)).newPage();
  await page.goto(ada.url());
  assert.equal(await page.getByLabel('Room').inputValue(), 'archive');
  await page.getByLabel('Your name').fill('Eve');
  await page.getByLabel('Your name').press('Enter');
  await hears(page, 'three');
  assert.deepEqual(await heard(page), [['Ada', 'one'], ['Ada', 'two'], ['Ada', 'three']]);

  await page.reload(); // A tab keeps its name.
  await people(page, ['Ada', 'Eve (you)']);
  await page.evaluate(() => { location.hash = '#elsewhere'; });
  await page.getByRole('heading', { name: 'elsewhere' }).waitFor();
  await people(page, ['Eve (you)']);
  await people(ada, ['Ada (you)']);
});

test('somebody with several tabs is shown once, until the last is closed', async (t) => {
  const context = await newWindow(t);
  const first = await online(context, 'Ada', 'tabs');
  const second = await online(context, 'Ada', 'tabs');
  const bob = await online(context, 'Bob', 'tabs');
  await people(bob, ['Ada', 'Bob (you)']);
  await say(second, 'from the second');
  await hears(first, 'from the second');
  await first.close();
  await say(second, 'still here');
  await hears(bob, 'still here');
  await people(bob, ['Ada', 'Bob (you)']);
  await second.close();
  await people(bob, ['Bob (you)']);
});

test('what people write stays text', async (t) => {
  const context = await newWindow(t);
  const ada = await online(context, '<b>Ada</b>', 'safe');
  const bob = await online(context, 'Bob', 'safe');
  const evil = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
  await say(ada, evil);
  await hears(bob, evil);
  assert.deepEqual(await heard(bob), [['<b>Ada</b>', evil]]);
  await people(bob, ['<b>Ada</b>', 'Bob (you)']);
  assert.equal(await bob.locator('#chat :is(.message, #people) :is(img, script, b)').count(), 0);
  assert.equal(await bob.title(), 'safe · ZenConn chat');
});

test('a plugin refuses a person, and the page says so in its words', async (t) => {
  const context = await newWindow(t);
  const mallory = await join(context, 'Mallory', 'tea');
  await notice(mallory).getByText('“Mallory is not welcome here” (code 4500)').waitFor();
  await status(mallory, /^Not connected$/);
  await say(mallory, 'let me in');
  await mallory.locator('#outbox').getByText('Not sent: no connection.').waitFor();
  await mallory.getByRole('button', { name: 'Try again' }).click();
  await notice(mallory).getByText('“Mallory is not welcome here” (code 4500)').waitFor();

  const trudy = await join(context, 'Trudy', 'tea'); // An error instead of an end, to a client that has sent more than the connect command.
  await notice(trudy).getByText('“Trudy listens too much” (code 403)').waitFor();

  const ada = await join(context, 'Ada', 'staff');
  await notice(ada).getByText('“staff only” (code 403)').waitFor();
});

test('a plugin rewrites a word and refuses a message, and both sides see it', async (t) => {
  const context = await newWindow(t);
  const ada = await online(context, 'Ada', 'manners');
  const bob = await online(context, 'Bob', 'manners');
  await say(ada, 'well, darn');
  await hears(ada, 'well, ****');
  await hears(bob, 'well, ****');

  await say(ada, 'something unspeakable');
  await notice(ada).getByText('“mind your words” (code 400)').waitFor();
  await ada.locator('#outbox .failed').getByText('Refused: mind your words.').waitFor();
  await ada.getByRole('button', { name: 'Discard' }).click();
  await say(ada, 'sorry');
  await hears(bob, 'sorry');
  assert.deepEqual(await heard(bob), [['Ada', 'well, ****'], ['Ada', 'sorry']]);
  await allSent(ada);
});
