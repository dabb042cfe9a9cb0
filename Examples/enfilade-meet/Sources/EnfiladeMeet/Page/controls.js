// Buttons that show a switch, and the small things around them: notes, the clipboard, the page's parts.

/** Makes a button follow one of the person's own devices and switch it. */
export function bindSwitch(button, devices, kind, word) {
  button.addEventListener('click', async () => {
    button.disabled = true;
    const isOn = !devices[kind].isOn;
    await (kind === 'audio' ? devices.setMicrophone(isOn) : devices.setCamera(isOn));
    button.disabled = false;
    if (isOn && devices[kind].problem) note(`Your ${word} is ${devices[kind].problem}.`);
  });
  const show = () => {
    const { isOn } = devices[kind];
    const label = `Turn ${isOn ? 'off' : 'on'} ${word}`;
    button.setAttribute('aria-pressed', String(isOn));
    button.setAttribute('aria-label', label);
    button.title = label;
  };
  devices.addEventListener('change', show);
  show();
}

/** Copies a link; where the clipboard is closed to pages, selects it in a field instead. */
export async function copyLink(link, field) {
  try {
    await navigator.clipboard.writeText(link);
    note('Link copied.');
  } catch {
    if (field?.offsetParent) {
      field.select();
      note('Press Ctrl+C to copy the link.');
    } else {
      note(link, 10_000);
    }
  }
}

/** Asks before what cannot be taken back; true for yes. */
export function ask(question, yes) {
  const dialog = document.getElementById('question');
  document.getElementById('question-text').textContent = question;
  document.getElementById('question-yes').textContent = yes;
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true });
  });
}

let noteTimer = null;

/** Says something for a few seconds. */
export function note(text, duration = 4000) {
  const toast = document.getElementById('toast');
  toast.textContent = text;
  toast.hidden = false;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => {
    toast.hidden = true;
  }, duration);
}

/** Shows one part of the page and hides the others. */
export function showView(name) {
  document.body.dataset.view = name;
  for (const part of document.querySelectorAll('[data-views]')) part.hidden = !part.dataset.views.split(' ').includes(name);
}
