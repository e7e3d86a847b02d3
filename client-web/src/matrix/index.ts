import type { OpenChat } from "./chat";

export * from "./chat";
export { newStorageKey, removeStores, signIn, SignInError, signOut } from "./session";

const load = () => import("./client");

/** Fetches and compiles the encryption ahead of its use; a failure shows itself when the chat is opened. */
export async function warmUp(): Promise<void> {
  try {
    await (await load()).warmUp();
  } catch {
    // Offline at this moment: opening the chat tries again and reports.
  }
}

export const openChat: OpenChat = async (options) => (await load()).openChat(options);
