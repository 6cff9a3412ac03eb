// The demo chat: who is speaking in which room, and what happens between the server and the page.

import { Chat } from './chat.js';
import { Messages } from './messages.js';
import { roomName } from './names.js';
import { Outbox } from './outbox.js';
import * as view from './view.js';

const LOBBY = 'lobby';

let stop = () => {};

const endpoint = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/connection/websocket`;

// A tab keeps its name over a reload; a new tab asks, because two tabs may well be two people.
const here = stored(() => sessionStorage);
const before = stored(() => localStorage);

/** A browser that blocks storage throws on every touch. The chat works without: it asks again. */
function stored(open) {
  return {
    get(key) {
      try { return open().getItem(key) ?? ''; } catch { return ''; }
    },
    set(key, value) {
      try { open().setItem(key, value); } catch { /* Then not. */ }
    },
  };
}

/** The room a link names. */
function linkedRoom() {
  try {
    return roomName(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return ''; // A broken %-escape.
  }
}

function ask() {
  stop();
  here.set('name', '');
  view.welcome({ name: before.get('name'), room: linkedRoom() || before.get('room') || LOBBY }, (name, room) => {
    enter(name.trim(), roomName(room) || LOBBY);
  });
}

function enter(user, room) {
  if (user === '') return;
  for (const store of [here, before]) {
    store.set('name', user);
    store.set('room', room);
  }
  if (linkedRoom() !== room) history.replaceState(null, '', `#${encodeURIComponent(room)}`);
  stop();

  const messages = new Messages(user);
  const chat = new Chat({ endpoint, user, room }, {
    status: view.showStatus,
    message: (message) => {
      outbox.arrived(message);
      messages.add(message);
    },
    gap: () => messages.gap(),
    loaded: () => messages.loaded(),
    people: (users) => view.showPeople(users, user),
    refused: (refusal) => view.showNotice(refusal, refusal.final ? { label: 'Try again', run: () => enter(user, room) } : undefined),
  });
  const outbox = new Outbox(chat, messages, ({ code, message }) => {
    view.showNotice({ what: 'The server refused your message', code, words: message });
  });
  view.conversation(room, { send: (text) => outbox.send(text), leave: ask });
  stop = () => {
    chat.stop();
    messages.close();
  };
  chat.start();
}

addEventListener('hashchange', () => {
  const user = here.get('name');
  if (user !== '' && linkedRoom() !== '') enter(user, linkedRoom());
});

if (here.get('name') !== '') enter(here.get('name'), linkedRoom() || here.get('room') || LOBBY);
else ask();
