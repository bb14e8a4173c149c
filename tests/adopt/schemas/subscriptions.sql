-- A starter kit for subscriptions: customers and prices are copied from a payment service by its webhook.
create type pricing_type as enum ('one_time', 'recurring');
create type subscription_status as enum ('trialing', 'active', 'canceled', 'incomplete', 'past_due', 'unpaid');
create table users (
  id uuid references auth.users not null primary key,
  full_name text,
  avatar_url text,
  billing_address jsonb,
  payment_method jsonb
);
alter table users enable row level security;
create policy "view own" on users for select using ((select auth.uid()) = id);
create policy "update own" on users for update using ((select auth.uid()) = id);
create table customers (id uuid references auth.users not null primary key, stripe_customer_id text);
alter table customers enable row level security;
create table products (id text primary key, active boolean, name text, metadata jsonb);
alter table products enable row level security;
create policy "public" on products for select using (true);
create table prices (
  id text primary key,
  product_id text references products,
  unit_amount bigint,
  currency text check (char_length(currency) = 3),
  type pricing_type
);
alter table prices enable row level security;
create policy "public" on prices for select using (true);
create table subscriptions (
  id text primary key,
  user_id uuid references auth.users not null,
  status subscription_status,
  cancel_at_period_end boolean,
  created timestamptz default timezone('utc'::text, now()) not null
);
alter table subscriptions enable row level security;
create policy "view own" on subscriptions for select using ((select auth.uid()) = user_id);
