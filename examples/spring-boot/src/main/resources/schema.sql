create table if not exists webhooks_done (
  webhook_id varchar(512) primary key,
  done_at timestamp not null default current_timestamp
);
create table if not exists points (
  order_id varchar(128) not null,
  points bigint not null
);
