// The two clients: Supabase signs the user in, Airlock has the rows.

import AsyncStorage from "@react-native-async-storage/async-storage";
import { createClient } from "@supabase/supabase-js";
import Constants from "expo-constants";
import { createAirlock, createId, supabaseToken } from "react-native-airlock";
import { expoOptions, random } from "react-native-airlock/expo";

export const supabase = createClient(process.env.EXPO_PUBLIC_SUPABASE_URL!, process.env.EXPO_PUBLIC_SUPABASE_KEY!, {
  // No timer: Airlock's client refreshes the token when the server calls it expired.
  auth: { storage: AsyncStorage, autoRefreshToken: false, detectSessionInUrl: false },
});

// A stand-in, with `AIRLOCK_ATTEST=enforce npm run example`. Your own app has `firebaseAttest(appCheck, getToken)`.
const attestUrl = process.env.EXPO_PUBLIC_AIRLOCK_ATTEST_URL ?? "";
const attest = async () => (attestUrl.startsWith("http") ? (await (await fetch(attestUrl)).json()).token : null);
export const airlock = createAirlock({ ...expoOptions(Constants.expoConfig), getToken: supabaseToken(supabase), attest });

/** A key for one thing to create: however often it is sent, there is one of it. */
export const newKey = () => createId(random);
