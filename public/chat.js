// One person in one room: everything that talks to the server. It knows nothing of the page.

const { Centrifuge } = globalThis;

const HISTORY = 50; // Messages shown to somebody who comes in.
const PATIENCE = 20_000; // Milliseconds that a busy server is waited for. Where a connection is gone, that shows by itself.
const TRIES = 3; // Questions to a server that does not answer them for now,
const PAUSE = 1000; // and milliseconds between two.

/** A code below 100 is the SDK's own: the connection was lost and nobody knows whether the server got the message. */
export const isLost = (error) => !(error.code >= 100);

/**
 * Chat keeps a conversation going. It calls, never before start() and never after stop():
 *
 *   status({state, attempt})    state: 'connecting', 'online', 'reconnecting' or 'ended'
 *   message({author, client, text, at})  in order, each once; at is null when nobody knows the time
 *   gap()                       messages are missing at this place and cannot be had any more
 *   loaded()                    the messages so far are on the page
 *   people(users)               who is here, each once, or null when the server does not tell
 *   refused({what, code, words, final})  the server said no; final: to everything
 *
 * An exception in one of them would stop the SDK: they must not throw.
 */
export class Chat {
  #client;
  #subscription;
  #tell;
  #online = false;
  #session = ''; // The server's name for this connection.
  #attempt = 0;

  // Where we are in the channel: offsets count up within an epoch.
  #epoch = '';
  #offset = 0;
  #complete = false; // The history before #offset was loaded.
  #early = null; // Publications that arrive while it loads.
  #load = 0;

  #members = new Map(); // Session to user.
  #changes = null; // Joins and leaves that arrive while the members load.

  constructor({ endpoint, user, room }, tell) {
    this.#tell = tell;
    this.#client = new Centrifuge(endpoint, { data: { user }, name: 'demo-chat', maxReconnectDelay: 5000, timeout: PATIENCE });
    this.#client
      .on('connecting', ({ code }) => this.#away(code === 0 ? 'connecting' : 'reconnecting'))
      .on('connected', ({ client }) => { this.#session = client; })
      .on('error', () => this.#retry())
      .on('disconnected', ({ code, reason }) => this.#ended('The server refused the connection', code, reason));

    // Recovery and join/leave are asked for here and allowed by the server's namespace.
    this.#subscription = this.#client.newSubscription(`room-${room}`, { recoverable: true, joinLeave: true });
    this.#subscription
      .on('subscribing', () => { if (this.#online) this.#away('reconnecting'); })
      .on('subscribed', (context) => this.#subscribed(context))
      .on('publication', (publication) => this.#publication(publication))
      .on('join', ({ info }) => this.#change({ joined: true, info }))
      .on('leave', ({ info }) => this.#change({ joined: false, info }))
      .on('error', () => this.#retry())
      .on('unsubscribed', ({ code, reason }) => this.#ended('The server does not let you into this room', code, reason));
  }

  start() {
    this.#subscription.subscribe();
    this.#client.connect();
  }

  stop() {
    this.#client.removeAllListeners();
    this.#subscription.removeAllListeners();
    this.#load++;
    this.#changes = null;
    this.#client.disconnect();
  }

  /** The session a message sent now would come from. */
  get session() { return this.#session; }

  /** Sends a message. It comes back through the channel like everybody's. Throws {code, message} when it was not accepted. */
  async send(text) {
    if (!this.#online) throw { code: 0, message: 'no connection' };
    // The time is what our clock says, so others take it with a grain of salt; who we are the server tells them.
    await this.#subscription.publish({ text, at: Date.now() });
  }

  #away(state) {
    this.#online = false;
    this.#tell.status({ state, attempt: this.#attempt });
  }

  #retry() {
    if (this.#online) return;
    this.#attempt++;
    this.#away('reconnecting');
  }

  #ended(what, code, words) {
    if (code === 0) return; // Our own wish.
    this.#away('ended');
    this.#tell.refused({ what, code, words, final: true });
  }

  #subscribed({ wasRecovering, recovered, streamPosition }) {
    this.#online = true;
    this.#attempt = 0;
    this.#tell.status({ state: 'online', attempt: 0 });
    this.#loadPeople();
    if (wasRecovering && recovered && this.#complete) return; // What was missed follows by itself.
    this.#loadHistory(streamPosition?.epoch ?? '');
  }

  async #loadHistory(epoch) {
    const load = ++this.#load;
    this.#complete = false;
    this.#early ??= [];
    const restarted = this.#epoch !== '' && this.#epoch !== epoch;
    let history = [];
    let failure = null;
    try {
      const ask = () => this.#subscription.history({ limit: HISTORY, reverse: true });
      history = (await this.#ask(ask, () => load === this.#load)).publications;
    } catch (error) {
      failure = error;
    }
    if (load !== this.#load) return; // A newer subscription loads for itself.
    if (failure !== null && !this.#online) return; // So will the next one.

    const all = [...history, ...this.#early].sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0));
    const missing = this.#offset > 0 && all.length > 0 && all[0].offset > this.#offset + 1;
    if (restarted || missing) this.#tell.gap();
    if (restarted) this.#offset = 0;
    this.#epoch = epoch;
    this.#early = null;
    this.#complete = true;
    all.forEach((publication) => this.#show(publication));
    this.#tell.loaded();
    if (failure !== null && failure.code !== 108) { // 108: this room keeps no history.
      this.#tell.refused({ what: 'The server does not show earlier messages', code: failure.code, words: failure.message, final: false });
    }
  }

  /** The answer to a question, which is asked again where the server cannot answer for now and somebody still wants to know. */
  async #ask(question, wanted) {
    for (let tries = 1; ; tries++) {
      try {
        return await question();
      } catch (error) {
        if (tries === TRIES || !(isLost(error) || error.temporary)) throw error;
        await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
        if (!wanted() || !this.#online) throw error;
      }
    }
  }

  #publication(publication) {
    if (this.#early !== null) this.#early.push(publication);
    else this.#show(publication);
  }

  #show({ offset, data, info }) {
    if (offset !== undefined) {
      if (offset <= this.#offset) return; // Seen already.
      this.#offset = offset;
    }
    this.#tell.message({
      author: info === undefined ? null : info.user, // Nobody: the server itself.
      client: info?.client ?? '',
      text: typeof data?.text === 'string' ? data.text : JSON.stringify(data),
      at: Number.isFinite(data?.at) ? data.at : null,
    });
  }

  async #loadPeople() {
    const changes = this.#changes = [];
    let clients;
    try {
      ({ clients } = await this.#ask(() => this.#subscription.presence(), () => this.#changes === changes));
    } catch {
      if (this.#changes !== changes) return;
      this.#changes = null;
      if (this.#online) this.#tell.people(null);
      return;
    }
    if (this.#changes !== changes) return;
    this.#changes = null;
    this.#members = new Map(Object.values(clients).map(({ client, user }) => [client, user]));
    changes.forEach((change) => this.#apply(change));
    this.#tellPeople();
  }

  #change(change) {
    if (this.#changes !== null) {
      this.#changes.push(change);
      return;
    }
    this.#apply(change);
    this.#tellPeople();
  }

  #apply({ joined, info }) {
    if (joined) this.#members.set(info.client, info.user);
    else this.#members.delete(info.client);
  }

  #tellPeople() {
    this.#tell.people([...new Set(this.#members.values())].sort((a, b) => a.localeCompare(b)));
  }
}
