// What the scripts share: clients of either build, tokens, and waiting with a deadline.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import WebSocket from 'ws';

const binary = process.env.ZENCONN_BUILD === 'protobuf';
const { Centrifuge } = await import(binary ? 'centrifuge/build/protobuf' : 'centrifuge');

const DEADLINE = 180_000; // Milliseconds anything may take: it only ends what hangs.

/** The Protobuf build carries bytes where the JSON build carries values. */
export const encode = (value) => (binary ? new TextEncoder().encode(JSON.stringify(value)) : value);
export const decode = (data) => (binary ? JSON.parse(new TextDecoder().decode(data)) : data);

/** Signs a token (RFC 7519) without the server's help. Times in seconds from now. */
export function token({ ttl = 3600, ...claims }, secret = process.env.ZENCONN_SECRET) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp: Math.floor(Date.now() / 1000) + ttl, ...claims })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

/** Makes a client that is disconnected when the test ends. direct: not through the network that can be cut. */
export function newClient(t, { direct = false, ...options } = {}) {
  const url = direct ? process.env.ZENCONN_DIRECT_URL : process.env.ZENCONN_URL;
  // The SDK gives up after five seconds by itself, and on a server that pings late: a busy machine may stand still for longer.
  const patience = { timeout: DEADLINE, maxServerPingDelay: DEADLINE };
  const client = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 100, ...patience, ...options });
  client.on('error', () => {}); // Expected while the network is cut; what matters shows in states.
  t.after(() => client.disconnect());
  return client;
}

/** A connected client of a user. */
export async function connected(t, user, options = {}) {
  const client = newClient(t, { token: token({ sub: user }), ...options });
  const ready = next(client, 'connected');
  client.connect();
  client.session = (await ready).client;
  return client;
}

/** A subscription that is made. */
export async function subscribed(client, channel, options) {
  const subscription = client.newSubscription(channel, options);
  const ready = next(subscription, 'subscribed');
  subscription.subscribe();
  await ready;
  return subscription;
}

/** The next event that matches. Ask for it before doing what causes it. */
export function next(emitter, event, matches = () => true) {
  const found = new Promise((resolve, reject) => {
    const listen = (context) => {
      if (!matches(context)) return;
      clearTimeout(timer);
      emitter.off(event, listen);
      resolve(context);
    };
    const timer = setTimeout(() => {
      emitter.off(event, listen);
      reject(new Error(`no event "${event}" within ${DEADLINE} ms`));
    }, DEADLINE);
    timer.unref(); // Nobody waits for what a passed test no longer needs.
    emitter.on(event, listen);
  });
  found.catch(() => {}); // A test that failed before it awaited this has said enough.
  return found;
}

/** Everything published to a subscription from now on, decoded. until() waits for what the last one must be. */
export function collect(subscription) {
  const all = [];
  subscription.on('publication', (publication) => all.push({ ...publication, data: decode(publication.data) }));
  all.until = (value) => {
    const there = () => all.some(({ data }) => data === value);
    return there() ? Promise.resolve() : next(subscription, 'publication', there);
  };
  return all;
}

/** The numbers from first to last. */
export const range = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** Asserts that what is asked for comes to be this. For what several processes tell together: who is silent for a moment is left out. */
export async function becomes(ask, expected) {
  for (const end = Date.now() + DEADLINE; ; await new Promise((resolve) => { setTimeout(resolve, 50); })) {
    const found = await ask();
    if (isDeepStrictEqual(found, expected)) return;
    if (Date.now() > end) assert.deepEqual(found, expected);
  }
}

/** Asserts that a call is refused with this code, and returns the server's words. */
export async function refused(promise, code) {
  const error = await promise.then(() => assert.fail('was not refused'), (reason) => reason);
  assert.equal(error.code, code, `refused with ${error.code} ${error.message}`);
  return error.message;
}

/** Does something to the server or the network: cut, restore, stop, kill, run. */
export async function control(action) {
  const response = await fetch(`${process.env.ZENCONN_CONTROL}/${action}`, { method: 'POST' });
  assert.equal(response.status, 200, `control ${action}: ${response.status}`);
  return response.text();
}
