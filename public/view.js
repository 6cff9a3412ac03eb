// The page around the messages: which screen is shown, who is here, how the connection is, what the server refused.

import { avatar, displayName } from './names.js';

const get = (id) => document.getElementById(id);

/** Shows the form that asks for a name and a room, and calls joined(name, room) with what was typed. */
export function welcome({ name, room }, joined) {
  get('chat').hidden = true;
  get('welcome').hidden = false;
  document.title = 'ZenConn chat';
  get('name').value = name;
  get('room').value = room;
  get('name').focus();
  get('name').select();
  get('join').onsubmit = (event) => {
    event.preventDefault();
    joined(get('name').value, get('room').value);
  };
}

/** Shows the conversation. */
export function conversation(room, { send, leave }) {
  get('welcome').hidden = true;
  get('chat').hidden = false;
  get('room-name').textContent = room;
  document.title = `${room} · ZenConn chat`;
  showPeople([], '');
  hideNotice();
  unfold(false);
  get('leave').onclick = leave;
  get('people-toggle').onclick = () => unfold(get('people-toggle').getAttribute('aria-expanded') !== 'true');
  get('copy-link').onclick = () => copyLink();
  prepareComposer(send);
}

function prepareComposer(send) {
  const text = get('text');
  text.value = '';
  get('composer').onsubmit = (event) => {
    event.preventDefault();
    const message = text.value.trim();
    if (message !== '') send(message);
    text.value = '';
    text.focus();
  };
  text.onkeydown = (event) => {
    // Enter that chooses a character of an input method is not meant for us.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    get('composer').requestSubmit();
  };
  // A phone should not hide the conversation behind its keyboard before somebody wants to write.
  if (matchMedia('(pointer: fine)').matches) text.focus();
}

function unfold(open) {
  get('people-toggle').setAttribute('aria-expanded', String(open));
  get('people-panel').classList.toggle('open', open);
}

async function copyLink() {
  const control = get('copy-link');
  try {
    await navigator.clipboard.writeText(location.href);
    control.textContent = 'Copied';
  } catch {
    control.textContent = location.href; // No permission, or no secure origin: show it instead.
  }
}

/** Shows how the connection is. */
export function showStatus({ state, attempt }) {
  const words = {
    connecting: 'Connecting…',
    online: 'Online',
    reconnecting: attempt > 1 ? `Reconnecting, attempt ${attempt}…` : 'Reconnecting…',
    ended: 'Not connected',
  };
  get('status').textContent = words[state];
  get('status').dataset.state = state;
}

/** Shows who is here; null when nobody may know. */
export function showPeople(users, me) {
  const count = users === null ? '' : ` (${users.length})`;
  get('people-toggle').textContent = `People${count}`;
  get('people-title').textContent = `Who is here${count}`;
  get('people').replaceChildren(...(users ?? []).map((user) => {
    const item = document.createElement('li');
    const name = document.createElement('span');
    name.className = 'author';
    name.textContent = user === me ? `${displayName(user)} (you)` : displayName(user);
    item.append(avatar(user), name);
    return item;
  }));
}

/** Shows what the server refused, in its own words. action is {label, run} or nothing. */
export function showNotice({ what, code, words }, action) {
  get('notice-title').textContent = what;
  get('notice-words').textContent = `“${words}” (code ${code})`;
  get('notice-action').hidden = action === undefined;
  get('notice-action').textContent = action?.label ?? '';
  get('notice-action').onclick = () => {
    hideNotice();
    action.run();
  };
  get('notice-close').onclick = hideNotice;
  get('notice').hidden = false;
}

function hideNotice() {
  get('notice').hidden = true;
}
