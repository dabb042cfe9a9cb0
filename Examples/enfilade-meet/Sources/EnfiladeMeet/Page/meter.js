// How loud one's own microphone is, for the eye.

export class Meter {
  #bar;
  #context = null;
  #analyser = null;
  #source = null;
  #track = null;
  #timer = null;

  constructor(bar) {
    this.#bar = bar;
  }

  /** Follows a track; `null` for none. */
  follow(track) {
    if (track === this.#track) return;
    this.stop();
    this.#track = track;
    if (!track) return;
    this.#context ??= new AudioContext();
    this.#context.resume().catch(() => {});
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = 1024;
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    const samples = new Float32Array(this.#analyser.fftSize);
    let shown = 0;
    this.#timer = setInterval(() => {
      this.#analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      // From 60 dB below full scale to full scale; it falls slower than it rises, as eyes expect.
      const level = Math.max(0, Math.min(1, 1 + Math.log10(Math.max(power, 1e-9)) / 6));
      shown = Math.max(level, shown * 0.85);
      this.#bar.style.setProperty('--level', shown.toFixed(3));
      this.#bar.setAttribute('aria-valuenow', String(Math.round(shown * 100)));
    }, 60);
  }

  stop() {
    clearInterval(this.#timer);
    this.#source?.disconnect();
    this.#source = null;
    this.#track = null;
    this.#bar.style.setProperty('--level', '0');
    this.#bar.setAttribute('aria-valuenow', '0');
  }
}
