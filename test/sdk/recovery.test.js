import assert from 'node:assert/strict';
import test from 'node:test';

import { collect, connected, control, decode, encode, next, range, subscribed, token } from './lib.js';

/** Publishes the numbers from first to last, one after the other. */
async function count(client, channel, first, last) {
  for (const n of range(first, last)) await client.publish(channel, encode(n));
}

/** Cuts the network under a subscription, does something, and brings the network back. */
async function without(subscription, something) {
  const away = next(subscription, 'subscribing');
  await control('cut');
  await away;
  await something();
  const back = next(subscription, 'subscribed');
  await control('restore');
  return back;
}

test('what was missed during a cut arrives, in order and once', async (t) => {
  const ada = await connected(t, 'ada');
  const bob = await connected(t, 'bob', { direct: true });
  const subscription = await subscribed(ada, 'room');
  const got = collect(subscription);
  await count(bob, 'room', 1, 3);
  await got.until(3);

  const { wasRecovering, recovered, streamPosition } = await without(subscription, () => count(bob, 'room', 4, 20));
  assert.deepEqual({ wasRecovering, recovered, offset: streamPosition.offset }, { wasRecovering: true, recovered: true, offset: 20 });
  await count(bob, 'room', 21, 22);
  await got.until(22);
  assert.deepEqual(got.map(({ data }) => data), range(1, 22));
  assert.deepEqual(got.map(({ offset }) => offset), range(1, 22));
  assert.ok(got.every(({ info }) => info.user === 'bob'));
});

test('many cuts while somebody keeps talking lose and double nothing', async (t) => {
  const ada = await connected(t, 'ada');
  const bob = await connected(t, 'bob', { direct: true });
  const subscription = await subscribed(ada, 'noise');
  const got = collect(subscription);
  const talking = count(bob, 'noise', 1, 400);
  for (let cuts = 0; cuts < 5; cuts++) await without(subscription, () => bob.publish('noise', encode('cut')));
  await talking;
  await bob.publish('noise', encode('end'));
  await got.until('end');
  assert.deepEqual(got.map(({ data }) => data).filter(Number.isInteger), range(1, 400));
  assert.deepEqual(got.map(({ offset }) => offset), range(1, 406));
});

test('what the history no longer holds is not recovered, and the client is told', async (t) => {
  const ada = await connected(t, 'ada');
  const bob = await connected(t, 'bob', { direct: true });
  const subscription = await subscribed(ada, 'short:x');
  const got = collect(subscription);
  await count(bob, 'short:x', 1, 2);
  await got.until(2);
  const { wasRecovering, recovered } = await without(subscription, () => count(bob, 'short:x', 3, 7));
  assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: false });
  await count(bob, 'short:x', 8, 8);
  await got.until(8);
  assert.equal(got.at(-1).offset, 8);
});

test('a subscription can begin at a position somebody kept', async (t) => {
  const bob = await connected(t, 'bob');
  await subscribed(bob, 'kept');
  await count(bob, 'kept', 1, 5);
  const { epoch } = await bob.history('kept', {});

  const ada = await connected(t, 'ada');
  const subscription = ada.newSubscription('kept', { since: { offset: 2, epoch } });
  const got = collect(subscription);
  const ready = next(subscription, 'subscribed');
  subscription.subscribe();
  assert.equal((await ready).recovered, true);
  await got.until(5);
  assert.deepEqual(got.map(({ data }) => data), [3, 4, 5]);

  const stranger = ada.newSubscription('noise', { since: { offset: 2, epoch: 'of another time' } });
  const refused = next(stranger, 'subscribed');
  stranger.subscribe();
  assert.equal((await refused).recovered, false);
});

test('a channel nobody spoke in has a position too', async (t) => {
  const ada = await connected(t, 'ada');
  const bob = await connected(t, 'bob', { direct: true });
  const subscription = await subscribed(ada, 'silent');
  const got = collect(subscription);
  const { recovered } = await without(subscription, () => count(bob, 'silent', 1, 2));
  assert.equal(recovered, true);
  await got.until(2);
  assert.deepEqual(got.map(({ data }) => data), [1, 2]);
});

test('a channel the server subscribed the client to recovers as well', async (t) => {
  const ada = await connected(t, 'ada', { token: token({ sub: 'ada', channels: ['news'] }) });
  const bob = await connected(t, 'bob', { direct: true });
  const got = [];
  ada.on('publication', ({ channel, data }) => got.push([channel, decode(data)]));
  let heard = next(ada, 'publication');
  await bob.publish('news', encode(1));
  await heard;
  const away = next(ada, 'connecting');
  await control('cut');
  await away;
  await count(bob, 'news', 2, 4);
  const back = next(ada, 'subscribed');
  heard = next(ada, 'publication', ({ data }) => decode(data) === 4);
  await control('restore');
  const { channel, wasRecovering, recovered } = await back;
  assert.deepEqual({ channel, wasRecovering, recovered }, { channel: 'news', wasRecovering: true, recovered: true });
  await heard;
  assert.deepEqual(got, range(1, 4).map((n) => ['news', n]));
});

test('a server that was killed again and again has lost nothing that it acknowledged, and doubles nothing', async (t) => {
  const ada = await connected(t, 'ada');
  const bob = await connected(t, 'bob', { direct: true });
  const subscription = await subscribed(ada, 'default:killed');
  const got = collect(subscription);
  const acknowledged = [];
  let talking = true;
  let dead = null; // While the server is: the history holds only so much, and where bob is connected to another he could go on for long.
  let said = 0;
  const talk = (async () => {
    for (let n = 1; talking; n++) {
      if (dead !== null && ++said > 200) await dead;
      await bob.ready();
      await bob.publish('default:killed', encode(n)).then(() => acknowledged.push(n), () => {}); // Else nobody knows what became of it.
    }
  })();
  for (let kills = 0; kills < 3; kills++) {
    const enough = acknowledged.length + 50;
    await got.until(await (async () => {
      while (acknowledged.length < enough) await next(subscription, 'publication');
      return acknowledged.at(-1);
    })());
    const back = next(subscription, 'subscribed');
    [dead, said] = [back, 0];
    await control('kill');
    await control('run');
    const { wasRecovering, recovered } = await back;
    dead = null;
    assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: true });
  }
  talking = false;
  await talk;
  await bob.publish('default:killed', encode('end'));
  await got.until('end');
  const heard = got.map(({ data }) => data);
  assert.equal(new Set(heard).size, heard.length, 'something came twice');
  assert.deepEqual(heard.filter((n) => acknowledged.includes(n)), acknowledged);
  assert.deepEqual(got.map(({ offset }) => offset), range(1, heard.length));
});
