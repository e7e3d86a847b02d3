import wasm from "../../node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm?url";
import type { OpenChat } from "./chat";

export * from "./chat";
export { newStorageKey, removeStore, removeStores, signIn, SignInError, signOut } from "./session";

const load = () => import("./client");

/** Fetches and compiles the encryption ahead of its use; a failure shows itself when the chat is opened. */
export async function warmUp(): Promise<void> {
  // The module is most of the bytes: it comes at the same time as the code that will ask for it.
  const ahead = document.createElement("link");
  Object.assign(ahead, { rel: "preload", as: "fetch", crossOrigin: "anonymous", href: wasm });
  document.head.append(ahead);
  try {
    await (await load()).warmUp();
  } catch {
    // Offline at this moment: opening the chat tries again and reports.
  }
}

export const openChat: OpenChat = async (options) => (await load()).openChat(options);
