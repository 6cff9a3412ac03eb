// The list of messages. Text from others only ever becomes textContent.

import { avatar, displayName } from './names.js';

const GROUP = 5 * 60_000; // Messages of one person within this many milliseconds stand together.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

export class Messages {
  #scroller = document.getElementById('scroller');
  #list = document.getElementById('messages');
  #outbox = document.getElementById('outbox');
  #empty = document.getElementById('empty');
  #newer = document.getElementById('newer');
  #user;
  #last = null; // Author and time of the newest message.
  #day = '';
  #unseen = 0;
  #atEnd = true;
  #resized;

  constructor(user) {
    this.#user = user;
    this.#list.replaceChildren();
    this.#outbox.replaceChildren();
    this.#empty.hidden = true;
    this.#scroller.onscroll = () => this.#look();
    this.#newer.onclick = () => this.toEnd();
    this.#seen();
    // The keyboard of a phone, a longer draft and a turned screen all change the height.
    this.#resized = new ResizeObserver(() => { if (this.#atEnd) this.toEnd(); });
    this.#resized.observe(this.#scroller);
  }

  /** Lets go of the page. */
  close() {
    this.#resized.disconnect();
  }

  /** Appends a message. Times come from other people's clocks, so they are kept between the message before and now. */
  add({ author, text, at }) {
    const time = at === null ? null : Math.min(Math.max(at, this.#last?.time ?? 0), Date.now());
    this.#separateDays(time);
    const follows = this.#last !== null && this.#last.author === author && time !== null && time - (this.#last.time ?? 0) < GROUP;
    this.#list.append(this.#item({ author, text, time, follows }));
    this.#last = { author, time };
    this.#empty.hidden = true;
    if (this.#atEnd || author === this.#user) this.toEnd();
    else this.#countUnseen();
  }

  /** Says that messages are missing here. */
  gap() {
    this.#separate('Some messages are missing here: the server no longer has them.', 'gap');
  }

  /** Invites to speak where nobody has spoken. */
  loaded() {
    this.#empty.hidden = this.#list.childElementCount + this.#outbox.childElementCount > 0;
    this.toEnd();
  }

  /** Shows a message on its way. The result says what became of it. */
  pending(text) {
    const item = this.#item({ author: this.#user, text, time: null, follows: false });
    item.classList.add('pending');
    const state = document.createElement('p');
    state.className = 'state';
    state.textContent = 'Sending…';
    item.querySelector('.body').append(state);
    this.#outbox.append(item);
    this.#empty.hidden = true;
    this.toEnd();
    return {
      sending: () => {
        item.classList.remove('failed');
        state.replaceChildren('Sending…');
      },
      failed: (why, retry, discard) => {
        item.classList.add('failed');
        state.replaceChildren(`${why} `, button('Retry', retry), ' ', button('Discard', discard));
        if (this.#atEnd) this.toEnd();
      },
      remove: () => item.remove(),
    };
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#seen();
  }

  #item({ author, text, time, follows }) {
    const item = document.createElement('li');
    item.className = 'message';
    item.classList.toggle('own', author === this.#user);
    item.classList.toggle('follows', follows);
    const body = document.createElement('div');
    body.className = 'body';
    const head = document.createElement('p');
    head.className = 'head';
    const name = document.createElement('span');
    name.className = 'author';
    name.textContent = author === null ? 'Server' : displayName(author);
    head.append(name);
    if (time !== null) {
      const stamp = document.createElement('time');
      stamp.dateTime = new Date(time).toISOString();
      stamp.textContent = clock.format(time);
      head.append(stamp);
    }
    const bubble = document.createElement('p');
    bubble.className = 'bubble';
    bubble.dir = 'auto';
    bubble.textContent = text;
    body.append(head, bubble);
    item.append(avatar(author ?? 'Server'), body);
    return item;
  }

  #separateDays(time) {
    if (time === null) return;
    const day = calendar.format(time);
    if (day === this.#day) return;
    this.#day = day;
    this.#separate(day === calendar.format(Date.now()) ? 'Today' : day, 'day');
  }

  #separate(text, kind) {
    const item = document.createElement('li');
    item.className = kind;
    item.textContent = text;
    this.#list.append(item);
    this.#last = null;
  }

  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#atEnd = scrollHeight - scrollTop - clientHeight < 48;
    if (this.#atEnd) this.#seen();
  }

  #seen() {
    this.#atEnd = true;
    this.#unseen = 0;
    this.#newer.hidden = true;
  }

  #countUnseen() {
    this.#unseen++;
    this.#newer.textContent = this.#unseen === 1 ? '↓ 1 new message' : `↓ ${this.#unseen} new messages`;
    this.#newer.hidden = false;
  }
}

function button(label, action) {
  const element = document.createElement('button');
  element.type = 'button';
  element.className = 'link';
  element.textContent = label;
  element.onclick = action;
  return element;
}
