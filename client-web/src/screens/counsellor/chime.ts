// Two soft tones, made here: no file has to come.
const TONES = [659.3, 880];
const LASTS_S = 0.35;
const LOUDNESS = 0.12;

let audio: AudioContext | null = null;

/** `wake`: called from a press of a key or a button; only then a browser lets a page sound for the first time. */
export function chime(wake: boolean): void {
  try {
    if (wake) audio ??= new AudioContext();
    if (!audio) return;
    if (audio.state === "suspended") void audio.resume().catch(() => undefined);
    TONES.forEach((tone, place) => sound(audio as AudioContext, tone, place * LASTS_S * 0.6));
  } catch {
    // A machine without sound.
  }
}

/** The page may sound from the next press on. */
export function wakeWithNextPress(): void {
  const wake = (): void => {
    removeEventListener("pointerdown", wake);
    removeEventListener("keydown", wake);
    try {
      audio ??= new AudioContext();
    } catch {
      // A machine without sound.
    }
  };
  addEventListener("pointerdown", wake);
  addEventListener("keydown", wake);
}

function sound(context: AudioContext, tone: number, after: number): void {
  const begins = context.currentTime + after;
  const [source, volume] = [context.createOscillator(), context.createGain()];
  source.frequency.value = tone;
  volume.gain.setValueAtTime(0, begins);
  volume.gain.linearRampToValueAtTime(LOUDNESS, begins + 0.02);
  volume.gain.exponentialRampToValueAtTime(0.001, begins + LASTS_S);
  source.connect(volume).connect(context.destination);
  source.start(begins);
  source.stop(begins + LASTS_S);
}
