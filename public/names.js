// How people and rooms are called, and how they look.

/** Turns what somebody typed into a room name that is safe in a URL and in a channel name; '' when nothing is left. */
export function roomName(typed) {
  return typed.trim().toLowerCase().replace(/\s+/g, '-').replace(/[^\p{L}\p{M}\p{N}._-]/gu, '').slice(0, 40);
}

/** What to call a user. Anonymous users have no name. */
export function displayName(user) {
  return user === '' ? 'Guest' : user;
}

/** A coloured disc with the initials of a user. */
export function avatar(user) {
  const element = document.createElement('span');
  element.className = 'avatar';
  element.setAttribute('aria-hidden', 'true');
  element.style.setProperty('--hue', hue(user));
  element.textContent = initials(displayName(user));
  return element;
}

function initials(name) {
  const words = name.split(/[\s._@-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [name];
  return letters.map((word) => [...word][0] ?? '').join('').toUpperCase();
}

/** The same user has the same colour everywhere. */
function hue(user) {
  let hash = 0;
  for (const character of user) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  return hash % 360;
}
