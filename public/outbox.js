// Messages on their way: none is lost without a word.

import { isLost } from './chat.js';

export class Outbox {
  #chat;
  #messages;
  #refused;
  #waiting = new Set(); // Not known to have arrived.

  /** refused(error) is called when the server says no to a message. */
  constructor(chat, messages, refused) {
    this.#chat = chat;
    this.#messages = messages;
    this.#refused = refused;
  }

  send(text) {
    const letter = { text, session: '', slip: this.#messages.pending(text) };
    this.#waiting.add(letter);
    this.#try(letter);
  }

  /** A message came in. When its answer was lost with the connection, it has arrived all the same. */
  arrived({ client, text }) {
    for (const letter of this.#waiting) {
      if (letter.session === client && letter.text === text) {
        this.#drop(letter);
        return;
      }
    }
  }

  async #try(letter) {
    letter.session = this.#chat.session;
    letter.slip.sending();
    try {
      await this.#chat.send(letter.text);
      this.#drop(letter);
    } catch (error) {
      if (!this.#waiting.has(letter)) return; // It arrived before its answer.
      const why = isLost(error) ? 'Not sent: no connection.' : `Refused: ${error.message}.`;
      letter.slip.failed(why, () => this.#try(letter), () => this.#drop(letter));
      if (!isLost(error)) this.#refused(error);
    }
  }

  #drop(letter) {
    this.#waiting.delete(letter);
    letter.slip.remove();
  }
}
