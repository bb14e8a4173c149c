-- A schema as an ORM with camelCase names makes it: quoted columns, ids as text or uuid, times without a zone.
create type "Role" as enum ('USER', 'ADMIN');
create table "User" (id text not null primary key, email text not null, role "Role" not null default 'USER');
create table "BlogPost" (
  id uuid not null default gen_random_uuid(),
  "authorId" uuid not null,
  "postTitle" varchar(191) not null,
  "isPublished" boolean not null default false,
  "viewCount" integer not null default 0,
  "createdAt" timestamp(3) not null default current_timestamp,
  "updatedAt" timestamp(3) not null,
  constraint "BlogPost_pkey" primary key (id)
);
create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null);
create unique index "BlogPost_postTitle_key" on "BlogPost" ("postTitle");
alter table "User" enable row level security;
alter table "BlogPost" enable row level security;
create policy "own" on "User" for select using ((select auth.uid())::text = id);
create policy "own" on "BlogPost" for all using ((select auth.uid()) = "authorId") with check ((select auth.uid()) = "authorId");
