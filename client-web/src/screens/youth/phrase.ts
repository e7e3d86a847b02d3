// The return phrase 合言葉: six words that the person keeps, and what is made of them on their own device.
// The words never leave it. The server gets an id and a secret; the third key, which opens the messages, it never sees.
import { wordlist as english } from "@scure/bip39/wordlists/english.js";
import { wordlist as japanese } from "@scure/bip39/wordlists/japanese.js";

export const LENGTH = 6;
// About 2,000 words: six are 65 bits. The slow function makes each guess cost half a million rounds more.
const ROUNDS = 500_000;
const SALT = "jp.madoguchi.return_phrase.v1";

export interface ReturnKeys {
  /** 16 bytes, base64url: by what the server finds the case. */
  id: string;
  /** 32 bytes, base64url: for the server, which keeps its hash. */
  secret: string;
  /** 32 bytes: opens the messages; never leaves the device. */
  key: Uint8Array<ArrayBuffer>;
}

const LISTS = { ja: japanese.map((word) => word.normalize("NFC")), en: [...english] };
// Never given to somebody who came because they are not well. Typed, they are words like the others.
const HURT = new Set((
  "さつじん ぜんら らたい らぞく ろしゅつ へんたい ぱんつ したぎ しゅらば ちみどろ ちぬり ひつぎ いこつ いひん けんお にくしみ " +
  "いじわる まぬけ びんぼう はめつ むのう ふこう きさま げぼく よくぼう ひさん ひめい むなしい たいほ はかい ぞんび みいら うしなう " +
  "きらい じゃま めいわく つまらない さみしい さびしい いたみ くなん くのう こんなん しゃっきん のらいぬ はんらん くさる けおとす " +
  "けとばす つわり らくさつ abuse alone angry anxiety blame bomb cage crash cruel damage danger death disease doom drown drunk " +
  "dumb enemy exile fail fatal fault fear fever fury ghost guilt gun hate hazard hurt ill injury junk knife lonely lose mad " +
  "naked nasty nerve pain panic pill poison poverty prison problem punch rage riot sad scare shame sick slam steal stupid " +
  "suffer trap trash ugly uncle unhappy upset useless victim vicious war weapon wound wrong"
).split(" "));

/** Six words by chance, each as likely as any other. */
export function newPhrase(language: "ja" | "en"): string[] {
  const list = LISTS[language].filter((word) => !HURT.has(word));
  return Array.from({ length: LENGTH }, () => list[chance(list.length)] ?? "");
}

/** A number below `most`; what would favour the first ones is thrown away. */
function chance(most: number): number {
  const [number = 0] = crypto.getRandomValues(new Uint16Array(1));
  return number < Math.floor(65_536 / most) * most ? number % most : chance(most);
}

/** What somebody has typed as words: in katakana, capitals, with whatever between them. */
export function wordsOf(text: string): string[] {
  const plain = text.normalize("NFKC").toLowerCase()
    .replace(/[ァ-ヶ]/gu, (letter) => String.fromCharCode(letter.charCodeAt(0) - 0x60));
  return plain.split(/[^a-z\u3041-\u3096ー]+/u).filter((word) => word !== "").map((word) => word.normalize("NFC"));
}

/** Those of the words that are in no list. */
export function unknownIn(words: readonly string[]): string[] {
  return words.filter((word) => !LISTS.ja.includes(word) && !LISTS.en.includes(word));
}

/** What the words are made into: PBKDF2 (RFC 8018) with HMAC-SHA-512, then HKDF (RFC 5869) once for each use.
 * `serverName`: the same words are another phrase at another desk. */
export async function keysOf(words: readonly string[], serverName: string): Promise<ReturnKeys> {
  const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);
  const phrase = await crypto.subtle.importKey("raw", bytes(words.join(" ")), "PBKDF2", false, ["deriveBits"]);
  const slow = { name: "PBKDF2", hash: "SHA-512", salt: bytes(`${SALT} ${serverName}`), iterations: ROUNDS };
  const master = await crypto.subtle.deriveBits(slow, phrase, 512);
  const base = await crypto.subtle.importKey("raw", master, "HKDF", false, ["deriveBits"]);
  const derive = async (use: string, bits: number): Promise<Uint8Array<ArrayBuffer>> => {
    const quick = { name: "HKDF", hash: "SHA-512", salt: new Uint8Array(), info: bytes(use) };
    return new Uint8Array(await crypto.subtle.deriveBits(quick, base, bits));
  };
  const [id, secret, key] = await Promise.all([derive("id", 128), derive("secret", 256), derive("key", 256)]);
  return { id: base64url(id), secret: base64url(secret), key };
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
