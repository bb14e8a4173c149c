-- A shop: orders with amounts, whose lines have two columns as their key.
create domain amount as numeric(12, 2) check (value >= 0);
create domain email as text check (value ~ '@') check (char_length(value) <= 254);
create table addresses (
  id serial primary key,
  user_id uuid not null references auth.users on delete cascade,
  email email not null,
  line varchar(120) not null,
  country char(2) not null default 'DE',
  latitude double precision check (latitude >= -90 and latitude <= 90),
  longitude real
);
create table orders (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users,
  address_id integer references addresses,
  status text not null default 'pending' check (status in ('pending', 'paid', 'shipped')),
  total amount not null default 0,
  note text,
  placed_at timestamptz not null default now()
);
create table order_lines (
  order_id uuid references orders on delete cascade,
  line_no smallint,
  sku text not null,
  quantity smallint not null check (quantity > 0),
  price numeric(12, 2) not null,
  primary key (order_id, line_no)
);
alter table addresses enable row level security;
alter table orders enable row level security;
create policy "own" on addresses for all to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
create policy "own read" on orders for select to authenticated using ((select auth.uid()) = user_id);
create policy "own insert" on orders for insert to authenticated with check ((select auth.uid()) = user_id and status = 'pending');
create index on addresses (user_id);
create index on orders (user_id, placed_at desc, id desc);
