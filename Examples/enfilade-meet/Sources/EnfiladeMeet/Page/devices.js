// The person's own microphone and camera.

/** Why a device gives nothing, in the words of the page. */
function reasonOf(error) {
  switch (error?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'not allowed';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'not found';
    case 'NotReadableError':
    case 'AbortError':
      return 'in use elsewhere';
    default:
      return 'not available';
  }
}

/**
 * Holds at most one track of each kind. `change` is dispatched whenever a track or a switch changes.
 *
 * Muting keeps the microphone open and sends silence, so that speaking starts at once; turning the camera off closes it, so that its light
 * goes out.
 */
export class Devices extends EventTarget {
  /** Whether the browser is being asked right now. */
  isOpening = false;
  #capture;

  constructor(capture = {}) {
    super();
    this.#capture = { width: 1280, height: 720, frameRate: 30, ...capture };
    this.audio = { track: null, isOn: false, problem: null };
    this.video = { track: null, isOn: false, problem: null };
    this.screen = { track: null, isOn: false, problem: null };
  }

  static get canShare() {
    return typeof navigator.mediaDevices?.getDisplayMedia === 'function';
  }

  /** Shows a screen, a window or a tab, as the person chooses; or ends that. */
  async setScreen(isOn) {
    if (isOn && !this.screen.track) {
      try {
        const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: false });
        this.#take(this.screen, stream.getVideoTracks()[0]);
        // Letters are to stay sharp, at the cost of motion.
        this.screen.track.contentHint = 'detail';
      } catch (error) {
        this.screen.problem = reasonOf(error);
      }
    } else if (!isOn && this.screen.track) {
      this.screen.track.onended = null;
      this.screen.track.stop();
      Object.assign(this.screen, { track: null, isOn: false, problem: null });
    }
    this.#changed();
  }

  /** Asks for both; what cannot be had is left out, with its reason. */
  async open() {
    this.isOpening = true;
    await this.#openBoth();
    this.isOpening = false;
    this.#changed();
  }

  async #openBoth() {
    if (!navigator.mediaDevices?.getUserMedia) {
      const problem = 'only possible over HTTPS or on localhost';
      Object.assign(this.audio, { problem });
      Object.assign(this.video, { problem });
      return;
    }
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: this.#audioConstraints, video: this.#videoConstraints });
      this.#take(this.audio, stream.getAudioTracks()[0]);
      this.#take(this.video, stream.getVideoTracks()[0]);
    } catch {
      // One of the two may still be had.
      await this.#openOne(this.audio, { audio: this.#audioConstraints });
      await this.#openOne(this.video, { video: this.#videoConstraints });
    }
  }

  async setMicrophone(isOn) {
    if (isOn && !this.audio.track) await this.#openOne(this.audio, { audio: this.#audioConstraints });
    if (this.audio.track) {
      this.audio.track.enabled = isOn;
      this.audio.isOn = isOn;
    }
    this.#changed();
  }

  async setCamera(isOn) {
    if (isOn && !this.video.track) {
      await this.#openOne(this.video, { video: this.#videoConstraints });
    } else if (!isOn && this.video.track) {
      this.video.track.onended = null;
      this.video.track.stop();
      this.video.track = null;
      this.video.isOn = false;
    }
    this.#changed();
  }

  /** Closes both. */
  close() {
    for (const device of [this.audio, this.video, this.screen]) {
      if (device.track) device.track.onended = null;
      device.track?.stop();
      device.track = null;
      device.isOn = false;
    }
    this.#changed();
  }

  get #audioConstraints() {
    return { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  }

  get #videoConstraints() {
    const { width, height, frameRate } = this.#capture;
    return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate, max: Math.max(frameRate, 1) } };
  }

  async #openOne(device, constraints) {
    try {
      const stream = await navigator.mediaDevices.getUserMedia(constraints);
      this.#take(device, stream.getTracks()[0]);
    } catch (error) {
      device.problem = reasonOf(error);
    }
  }

  #take(device, track) {
    device.track = track;
    device.isOn = true;
    device.problem = null;
    // Pulled out, or taken away by the system.
    track.onended = () => {
      Object.assign(device, { track: null, isOn: false, problem: 'not available' });
      this.#changed();
    };
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
