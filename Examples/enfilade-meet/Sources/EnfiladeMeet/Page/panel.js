// The panel beside the stage: who is here and who waits, what hosts may do, and what people write.

import { ask, note } from './controls.js';
import { hueOf, initialsOf } from './stage.js';

const $ = (id) => document.getElementById(id);

/** Does something with the server and says so where it does not work. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    note(error.message);
  }
}

function button(label, text, onClick, className = 'button quiet tiny') {
  const element = document.createElement('button');
  element.type = 'button';
  element.className = className;
  element.setAttribute('aria-label', label);
  element.title = label;
  if (text.startsWith('#')) element.innerHTML = `<svg class="icon" aria-hidden="true"><use href="${text}"/></svg>`;
  else element.textContent = text;
  element.addEventListener('click', onClick);
  return element;
}

function row(name, remark) {
  const element = document.createElement('li');
  element.className = 'person';
  const avatar = document.createElement('span');
  avatar.className = 'avatar';
  avatar.setAttribute('aria-hidden', 'true');
  avatar.style.setProperty('--hue', hueOf(name));
  avatar.textContent = initialsOf(name);
  const words = document.createElement('span');
  words.className = 'person-name';
  words.textContent = name;
  if (remark) {
    const small = document.createElement('small');
    small.textContent = remark;
    words.append(small);
  }
  element.append(avatar, words);
  return element;
}

const rules = {
  'rule-locked': { read: (now) => now.locked, write: (isOn) => ({ locked: isOn }) },
  'rule-lobby': { read: (now) => now.lobby, write: (isOn) => ({ lobby: isOn }) },
  'rule-removal': { read: (now) => now.locksAfterRemoval, write: (isOn) => ({ locksAfterRemoval: isOn }) },
  'rule-host-leaves': { read: (now) => now.hostDeparture === 'lock', write: (isOn) => ({ hostDeparture: isOn ? 'lock' : 'nothing' }) },
};

/** Events: `change` when it opens, closes, or something unread comes. */
export class Panel extends EventTarget {
  /** `people`, `chat` or null. */
  shown = null;
  unread = 0;
  #session = null;
  #drawn = '';
  #messageCount = 0;

  constructor() {
    super();
    for (const [id, rule] of Object.entries(rules)) {
      $(id).addEventListener('change', () => attempt(() => this.#session?.signaling?.changeRules(rule.write($(id).checked))).then(() => this.update()));
    }
    $('mute-all').addEventListener('click', () => attempt(async () => {
      await this.#session?.signaling?.muteAll();
      note('Everybody else is muted.');
    }));
    $('end-meeting').addEventListener('click', async () => {
      if (await ask('End this meeting for everybody?', 'End it')) attempt(() => this.#session?.signaling?.end());
    });
    $('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      const text = $('chat-text').value.trim();
      if (!text) return;
      attempt(async () => {
        await this.#session?.signaling?.post(text);
        $('chat-text').value = '';
      });
    });
    for (const tab of ['people', 'chat']) $(`tab-${tab}`).addEventListener('click', () => this.show(tab));
    $('panel-close').addEventListener('click', () => this.show(null));
  }

  /** Follows a session from now on; `null` for none. */
  follow(session) {
    this.#session = session;
    this.#drawn = '';
    this.#messageCount = 0;
    this.unread = 0;
    $('chat-list').replaceChildren();
    if (!session) this.show(null);
  }

  toggle(part) {
    this.show(this.shown === part ? null : part);
  }

  show(part) {
    this.shown = part;
    $('panel').hidden = part === null;
    document.body.dataset.panel = part ?? '';
    for (const tab of ['people', 'chat']) {
      $(`panel-${tab}`).hidden = tab !== part;
      $(`tab-${tab}`).setAttribute('aria-selected', String(tab === part));
    }
    if (part === 'chat') {
      this.unread = 0;
      $('chat-list').scrollTop = $('chat-list').scrollHeight;
      $('chat-text').focus();
    }
    this.dispatchEvent(new Event('change'));
  }

  update() {
    const session = this.#session;
    if (!session) return;
    const { people, knockers, self } = session;
    const mayDecide = self?.moderates === true;
    $('host-controls').hidden = !mayDecide;
    if (session.rules) for (const [id, rule] of Object.entries(rules)) $(id).checked = rule.read(session.rules);
    this.#drawMessages(session);
    // A list that is drawn anew under somebody's finger is pressed wrong.
    const drawn = JSON.stringify([mayDecide, knockers, people.map(({ id, name, isSelf, microphone, camera, hand, role, moderates, isMutedByHost, hasAudio }) => (
      [id, name, isSelf, microphone, camera, hand, role, moderates, isMutedByHost, hasAudio]))]);
    if (drawn === this.#drawn) return;
    this.#drawn = drawn;
    this.#drawKnockers(knockers);
    this.#drawPeople(people, mayDecide);
  }

  #drawKnockers(knockers) {
    $('waiting').hidden = knockers.length === 0;
    $('waiting-list').replaceChildren(...knockers.map((knocker) => {
      const element = row(knocker.name);
      const decide = (isAdmitted) => attempt(() => this.#session?.signaling?.decide(knocker.id, isAdmitted));
      element.append(
        button(`Let ${knocker.name} in`, 'Let in', () => decide(true), 'button primary tiny admit'),
        button(`Send ${knocker.name} away`, 'No', () => decide(false), 'button quiet tiny deny'),
      );
      return element;
    }));
  }

  #drawPeople(people, mayDecide) {
    $('people-title').textContent = people.length === 1 ? 'Here: only you' : `Here: ${people.length}`;
    const sorted = [...people].sort((a, b) => (a.hand || Infinity) - (b.hand || Infinity) || Number(b.isSelf) - Number(a.isSelf) || 0);
    $('people-list').replaceChildren(...sorted.map((person) => {
      const remarks = [person.isSelf && 'you', person.moderates && 'host', person.role === 'viewer' && 'only watches', person.role === 'publisher' && 'stream'];
      const element = row(person.name, remarks.filter(Boolean).join(', '));
      element.dataset.id = person.id;
      const mark = (icon, label) => {
        const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
        svg.setAttribute('class', 'icon state');
        svg.setAttribute('role', 'img');
        svg.setAttribute('aria-label', label);
        svg.innerHTML = `<use href="#icon-${icon}"/>`;
        element.append(svg);
      };
      if (person.hand) mark('hand', 'hand raised');
      const isSilent = person.microphone === false || person.isMutedByHost;
      if (isSilent) mark('mic-off', 'muted');
      if (mayDecide && !person.isSelf) {
        if (!isSilent && person.hasAudio) {
          element.append(button(`Mute ${person.name}`, '#icon-mic', () => attempt(() => this.#session?.signaling?.mute(person.id, 'audio')), 'icon-button mute'));
        }
        element.append(button(`Remove ${person.name}`, '#icon-remove', async () => {
          const isSure = await ask(`Remove ${person.name}? They cannot come back to this meeting.`, 'Remove');
          if (isSure) attempt(() => this.#session?.signaling?.remove(person.id));
        }, 'icon-button remove'));
      }
      return element;
    }));
  }

  #drawMessages(session) {
    const { messages } = session;
    const newest = messages.at(-1)?.at ?? 0;
    if (this.#messageCount === messages.length && this.#newestMessage === newest) return;
    const isAtEnd = $('chat-list').scrollHeight - $('chat-list').scrollTop - $('chat-list').clientHeight < 40;
    if (this.shown !== 'chat' && this.#messageCount > 0) this.unread += Math.max(1, messages.length - this.#messageCount);
    else if (this.shown !== 'chat') this.unread += messages.filter((message) => message.from !== session.id).length;
    this.#messageCount = messages.length;
    this.#newestMessage = newest;
    $('chat-empty').hidden = messages.length > 0;
    $('chat-list').replaceChildren(...messages.map((message) => {
      const element = document.createElement('li');
      element.className = message.from === session.id ? 'message own' : 'message';
      const who = document.createElement('span');
      who.className = 'message-who';
      const time = new Date(message.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
      who.textContent = `${message.from === session.id ? 'You' : message.name} · ${time}`;
      const text = document.createElement('span');
      text.className = 'message-text';
      text.textContent = message.text;
      element.append(who, text);
      return element;
    }));
    if (isAtEnd) $('chat-list').scrollTop = $('chat-list').scrollHeight;
    this.dispatchEvent(new Event('change'));
  }

  #newestMessage = 0;
}
