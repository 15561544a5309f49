// Who is subscribed to a hub: reads the list, follows the changes since, and prints the payloads' users each time.

import process from 'node:process';
import { EventSource } from 'eventsource';

const hub = process.argv[2];
const authorized = (address, options = {}) =>
  fetch(address, { ...options, headers: { ...options.headers, Authorization: `Bearer ${process.env.TOKEN}` } });

const present = new Map();
const update = (subscription) => {
  if (!subscription.active) present.delete(subscription.id);
  else if (subscription.payload) present.set(subscription.id, `${subscription.payload.user} ${subscription.topic}`);
};
const print = () => process.stdout.write(`${JSON.stringify([...present.values()].sort())}\n`);

const answer = await authorized(`${hub}/subscriptions`);
const list = await answer.json();
list.subscriptions.forEach(update);
print();

const url = new URL(hub);
url.searchParams.set('topic', '/.well-known/mercure/subscriptions/{topic}/{subscriber}');
url.searchParams.set('lastEventID', list.lastEventID);
const source = new EventSource(url, { fetch: authorized });
source.onmessage = (event) => {
  update(JSON.parse(event.data));
  print();
};
