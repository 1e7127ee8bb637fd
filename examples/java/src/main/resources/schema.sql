create table if not exists webhooks_done (webhook_id varchar(512) primary key);
create table if not exists points (order_id varchar(128) primary key, points bigint not null);
