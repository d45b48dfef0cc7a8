/** What participants do with the channels of the commons: each message that they send or receive is in the ledger's table. */

import type { Channel, Subscription } from "../src/data/index.ts";
import { PIPES, messageOf, readLetter } from "./commons.ts";
import type { Letter, PipeName } from "./commons.ts";
import { channelOf, CHANNELS, IDS_EACH, messageWord, numberOf, senderOf } from "./commons-table.ts";
import type { ChannelName } from "./commons-table.ts";
import { ask, dwell, intentOf, perform, SHORT_MS } from "./guest.ts";
import type { Guest } from "./guest.ts";
import type { Ledger } from "./ledger.ts";

const TIMEOUT = "ERR_SHOAL_TIMEOUT";
/** Of a ring: somebody who lives has that end. */
const TAKEN = "ERR_SHOAL_TAKEN";
const DISCONNECTED = "ERR_SHOAL_DISCONNECTED";
/** Of a message that is no more with a subscriber after so many. */
const MOST_READ = 6;

/** How far sending, or reading a borrowed message, has come (Ledger.setProgress). */
export const IS_SENT = 1;
export const IS_READ = 1;

type Pipe = Channel<Uint8Array>;

/** One of the ways to send; whether it was sent. */
function sendSomehow(guest: Guest, channel: ChannelName, bytes: Buffer): boolean {
  const { commons, random } = guest;
  const dice = random(16);
  if (dice < 4) return sendInPlace(guest, channel, bytes);
  const isWaiting = dice === 4;
  const wait = { timeoutMs: SHORT_MS };
  if (channel === "topic") {
    const { topic } = commons;
    if (!isWaiting) return ask(guest, () => topic.tryPublish(bytes)) === true;
    return ask(guest, () => (topic.publishSync(bytes, wait), true), TIMEOUT) === true;
  }
  const pipe: Pipe = commons[channel];
  if (!isWaiting) return ask(guest, () => pipe.trySend(bytes), TAKEN) === true;
  return ask(guest, () => (pipe.sendSync(bytes, wait), true), TIMEOUT, TAKEN) === true;
}

/** Writes the message where it is to be; or changes its mind. */
function sendInPlace(guest: Guest, channel: ChannelName, bytes: Buffer): boolean {
  const { commons, random } = guest;
  const loan = ask(guest, () => commons[channel].tryReserve(bytes.length), TAKEN);
  if (loan === undefined) return false;
  loan.bytes.set(bytes);
  dwell(guest);
  if (random(4) === 0) {
    ask(guest, () => loan.cancel());
    return false;
  }
  ask(guest, () => loan.commit());
  return true;
}

function send(guest: Guest, channel: ChannelName): void {
  const { ledger, seat, random } = guest;
  const id = CHANNELS.indexOf(channel) * IDS_EACH + random(IDS_EACH);
  const word = messageWord(seat, ++guest.sent);
  ledger.begin(seat, { ...intentOf("send", id), sign: word });
  if (!ledger.table.change(id, 0, word)) return ledger.drop(seat);
  if (sendSomehow(guest, channel, messageOf(id, word))) ledger.setProgress(seat, IS_SENT);
  else if (!ledger.table.change(id, word, 0))
    throw new Error(`${channel}: message ${id} was refused, and has been received`);
  ledger.finish(seat);
}

/** The message has been received: this once, from where it was sent. */
export function checkIn({ table }: Ledger, channel: ChannelName, { id, word }: Letter): void {
  if (channelOf(id) !== channel) throw new Error(`${channel}: a message of ${channelOf(id)}`);
  if (!table.change(id, word, 0))
    throw new Error(
      `${channel}: number ${numberOf(word)} of seat ${senderOf(word)} (id ${id}) has come, and was received before or never sent; the id is at number ${numberOf(table.word(id))} of seat ${senderOf(table.word(id))}`,
    );
  table.add("messages");
}

const target = new Uint8Array(4096);

function receiveSomehow(guest: Guest, pipe: Pipe): Uint8Array | undefined {
  const dice = guest.random(16);
  if (dice === 0) return ask(guest, () => pipe.receiveSync({ timeoutMs: SHORT_MS }), TIMEOUT, TAKEN);
  if (dice > 5) return ask(guest, () => pipe.tryReceive(), TAKEN);
  const length = ask(guest, () => pipe.tryReceiveInto(target), TAKEN) ?? -1;
  return length < 0 ? undefined : target.subarray(0, length);
}

function receive(guest: Guest, channel: PipeName): void {
  const { ledger, commons } = guest;
  perform(guest, "receive", CHANNELS.indexOf(channel), () => {
    const bytes = receiveSomehow(guest, commons[channel]);
    if (bytes !== undefined) checkIn(ledger, channel, readLetter(channel, bytes));
  });
}

/** Reads a message where it is, and has received it then; or gives it back. */
function borrow(guest: Guest, channel: PipeName): void {
  const { ledger, commons, random, seat } = guest;
  const pipe: Pipe = commons[channel];
  perform(guest, "borrow", CHANNELS.indexOf(channel), () => {
    const message =
      random(8) === 0
        ? ask(guest, () => pipe.borrow({ timeoutMs: SHORT_MS }), TIMEOUT, TAKEN)
        : ask(guest, () => pipe.tryBorrow(), TAKEN);
    if (message === undefined) return;
    const letter = readLetter(channel, message.bytes);
    dwell(guest);
    if (readLetter(channel, message.bytes).word !== letter.word)
      throw new Error(`${channel}: message ${letter.id} became another one while it was borrowed`);
    if (random(6) === 0) {
      ask(guest, () => message.giveBack());
      return;
    }
    ledger.setProgress(seat, IS_READ);
    ask(guest, () => message.release());
    checkIn(ledger, channel, letter);
  });
}

/** Each sender's messages come in their order. */
export function makeOrderCheck(channel: ChannelName): (word: number) => void {
  const last = new Map<number, number>();
  return (word) => {
    const [sender, number] = [senderOf(word), numberOf(word)];
    const before = last.get(sender) ?? -1;
    if (number <= before)
      throw new Error(`${channel}: number ${number} of seat ${sender} has come after number ${before}`);
    last.set(sender, number);
  };
}

/** Subscribes for a while. */
function subscribe(guest: Guest): void {
  const { commons, random } = guest;
  const policy = (["block", "drop-oldest", "disconnect"] as const)[random(3)]!;
  const from = random(2) === 0 ? "now" : "history";
  perform(guest, "subscribe", CHANNELS.indexOf("topic"), () => {
    const subscription = ask(guest, () => commons.topic.subscribe({ policy, from }))!;
    const check = makeOrderCheck("topic");
    for (let left = random(MOST_READ); left > 0; left--) {
      const bytes = read(guest, subscription);
      if (bytes !== undefined) check(readLetter("topic", bytes).word);
      dwell(guest);
    }
    ask(guest, () => subscription.close());
  });
}

function read(guest: Guest, subscription: Subscription<Uint8Array>): Uint8Array | undefined {
  if (subscription.policy !== "block" || guest.random(2) === 0)
    return ask(guest, () => subscription.tryReceive(), DISCONNECTED);
  const message = ask(guest, () => subscription.tryBorrow());
  if (message === undefined) return undefined;
  dwell(guest);
  const bytes = Buffer.from(message.bytes);
  ask(guest, () => message.release());
  return bytes;
}

/** Lets others have the ends of the ring. */
export function resign({ commons }: Guest): void {
  commons.ring.resign();
}

/** Does something with one of the channels. */
export function visitChannels(guest: Guest): void {
  const { random } = guest;
  const dice = random(20);
  if (dice === 0) return subscribe(guest);
  if (dice < 4) return send(guest, "topic");
  const channel = PIPES[random(PIPES.length)]!;
  if (random(2) === 0) send(guest, channel);
  else if (random(3) === 0) borrow(guest, channel);
  else receive(guest, channel);
  if (channel === "ring" && random(3) === 0) perform(guest, "receive", -1, () => resign(guest));
}
