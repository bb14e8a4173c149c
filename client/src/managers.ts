/** TanStack Query's managers of focus and network, told by the phone. */

/** TanStack Query's `focusManager`. */
export interface FocusManagerLike {
  setEventListener(setup: (setFocused: (focused?: boolean) => void) => () => void): void;
}

/** TanStack Query's `onlineManager`. */
export interface OnlineManagerLike {
  setEventListener(setup: (setOnline: (online: boolean) => void) => () => void): void;
}

/** React Native's `AppState`. */
export interface AppStateLike {
  addEventListener(type: "change", listener: (state: string) => void): { remove(): void };
}

/** The module `expo-network`. */
export interface NetworkLike {
  getNetworkStateAsync(): Promise<NetworkStateLike | undefined>;
  addNetworkStateListener(listener: (state: NetworkStateLike) => void): { remove?(): void } | undefined;
}

interface NetworkStateLike {
  isConnected?: boolean | undefined;
}

/** Tells the manager whether the app is in the foreground. */
export function tellFocus(manager: FocusManagerLike, appState: AppStateLike): void {
  manager.setEventListener((setFocused) => {
    const subscription = appState.addEventListener("change", (state) => setFocused(state === "active"));
    return () => subscription.remove();
  });
}

/** Tells the manager whether there is a network, from the start: the listener is called for changes alone. */
export function tellNetwork(manager: OnlineManagerLike, network: NetworkLike): void {
  manager.setEventListener((setOnline) => {
    let known = false;
    // Jest's mock of expo-network has no state, and a subscription without `remove`.
    const tell = (state: NetworkStateLike | undefined) => {
      known = true;
      setOnline(state?.isConnected !== false);
    };
    const subscription = network.addNetworkStateListener(tell);
    network.getNetworkStateAsync().then(
      (state) => known || tell(state),
      () => {}, // The platform cannot tell: online, as before.
    );
    return () => {
      known = true;
      subscription?.remove?.();
    };
  });
}
