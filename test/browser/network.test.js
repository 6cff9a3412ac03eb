import assert from 'node:assert/strict';
import test from 'node:test';

import { allSent, control, hears, heard, newWindow, online, people, say, status } from './lib.js';

test('a broken network is shown, and what was missed arrives on return', async (t) => {
  const context = await newWindow(t);
  const ada = await online(context, 'Ada', 'cut');
  const bob = await online(context, 'Bob', 'cut', { direct: true });
  await say(bob, 'before');
  await hears(ada, 'before');

  await control('cut');
  await status(ada, /^Reconnecting, attempt \d+…$/);
  await people(bob, ['Bob (you)']);
  for (const text of ['first', 'second', 'third']) {
    await say(bob, text);
    await hears(bob, text);
  }
  await say(ada, 'into the void');
  await ada.locator('#outbox .failed').getByText('Not sent: no connection.').waitFor();

  await control('restore');
  await hears(ada, 'third');
  await status(ada, /^Online$/);
  await people(bob, ['Ada', 'Bob (you)']);
  await ada.getByRole('button', { name: 'Retry' }).click();
  await hears(bob, 'into the void');
  await hears(ada, 'into the void');
  const all = [['Bob', 'before'], ['Bob', 'first'], ['Bob', 'second'], ['Bob', 'third'], ['Ada', 'into the void']];
  assert.deepEqual(await heard(ada), all);
  assert.deepEqual(await heard(bob), all);
  await allSent(ada);
  assert.equal(await ada.locator('.gap').count(), 0);
});

test('what the server no longer has is called missing, not passed over', async (t) => {
  const context = await newWindow(t);
  const ada = await online(context, 'Ada', 'gap');
  const bob = await online(context, 'Bob', 'gap', { direct: true });
  await say(bob, 'before');
  await hears(ada, 'before');
  await control('cut');
  await status(ada, /^Reconnecting/);
  // Demo mode keeps a hundred messages of a channel.
  for (let n = 1; n <= 120; n++) await say(bob, `message ${n}`);
  await hears(bob, 'message 120');
  await control('restore');
  await hears(ada, 'message 120');
  await ada.locator('.gap').waitFor();
  const texts = (await heard(ada)).map(([, text]) => text);
  assert.deepEqual(texts, ['before', ...Array.from({ length: 50 }, (_, i) => `message ${i + 71}`)]);
});

test('a server that shuts down, and one that dies, are survived', async (t) => {
  const context = await newWindow(t);
  const ada = await online(context, 'Ada', 'restart');
  const bob = await online(context, 'Bob', 'restart', { direct: true });
  for (const end of ['stop', 'kill']) {
    await say(ada, `before ${end}`);
    await hears(bob, `before ${end}`);
    await control(end);
    await status(ada, /^Reconnecting/);
    await status(bob, /^Reconnecting/);
    await control('run');
    await status(ada, /^Online$/);
    await status(bob, /^Online$/);
    await people(ada, ['Ada (you)', 'Bob']);
    await say(bob, `after ${end}`);
    await hears(ada, `after ${end}`);
  }
  assert.deepEqual(await heard(ada), [['Ada', 'before stop'], ['Bob', 'after stop'], ['Ada', 'before kill'], ['Bob', 'after kill']]);
});
