// The two clients: Supabase signs the user in, Airlock has the rows.

import AsyncStorage from "@react-native-async-storage/async-storage";
import { createClient } from "@supabase/supabase-js";
import { getRandomBytes } from "expo-crypto";
import { createAirlock, createId, supabaseToken } from "react-native-airlock";

export const supabase = createClient(process.env.EXPO_PUBLIC_SUPABASE_URL!, process.env.EXPO_PUBLIC_SUPABASE_KEY!, {
  // No timer: Airlock's client refreshes the token when the server calls it expired.
  auth: { storage: AsyncStorage, autoRefreshToken: false, detectSessionInUrl: false },
});

export const airlock = createAirlock({
  url: process.env.EXPO_PUBLIC_AIRLOCK_URL!,
  appId: process.env.EXPO_PUBLIC_AIRLOCK_APP_ID!,
  secret: process.env.EXPO_PUBLIC_AIRLOCK_SECRET!,
  getToken: supabaseToken(supabase),
  random: getRandomBytes,
});

/** A key for one thing to create: however often it is sent, there is one of it. */
export const newKey = () => createId(getRandomBytes);
