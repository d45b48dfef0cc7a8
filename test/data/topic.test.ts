/** Topics, in every set-up: who gets what, slow subscribers, late ones, ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Subscription } from "../../src/data/channel/index.ts";
import { createFullHeap, inEverySetup, isPending, openFullHeap, rejectsCode } from "../helpers/crew.ts";

inEverySetup("topic", async ({ heap, mates }, holds) => {
  await holds("every subscriber gets every message, in order", async () => {
    const topic = heap.topic<number>("all", { capacity: 8 });
    const mine = topic.subscribe();
    for (const mate of mates) {
      await mate.run(({ heap: shared, keep }) => {
        const subscription = shared.topic<number>("all").subscribe();
        const values: number[] = [];
        const collect = async (): Promise<number[]> => {
          for await (const value of subscription) values.push(value);
          return values;
        };
        keep("all", subscription);
        keep("collected", collect());
      });
    }
    const values = Array.from({ length: 100 }, (_none, index) => index);
    const collect = async (): Promise<number[]> => {
      const got: number[] = [];
      for await (const value of mine) got.push(value);
      return got;
    };
    const collected = collect();
    for (const value of values) await topic.publish(value);
    topic.end();
    assert.deepEqual(await collected, values);
    for (const mate of mates)
      assert.deepEqual(await mate.run(({ kept }) => kept<Promise<number[]>>("collected")), values);
    await rejectsCode(topic.publish(1), "ERR_SHOAL_ENDED");
    const { published, received, dropped } = topic.stats();
    assert.deepEqual({ published, received, dropped }, { published: 100, received: 300, dropped: 0 });
    await Promise.all(mates.map((mate) => mate.run(({ kept }) => kept<Subscription>("all").close())));
    mine.close();
    topic.destroy();
    await rejectsCode(topic.publish(1), "ERR_SHOAL_NOT_FOUND");
  });

  await holds("several publishers, each one's messages in its order", async () => {
    const topic = heap.topic<[number, number]>("several", { capacity: 8 });
    const subscription = topic.subscribe();
    const publishing = mates.map((mate, number) =>
      mate.run(async ({ heap: shared }, who) => {
        const there = shared.topic<[number, number]>("several");
        for (let index = 0; index < 200; index++) await there.publish([who, index]);
      }, number),
    );
    const next = [0, 0];
    for (let count = 0; count < 400; count++) {
      const [who, index] = await subscription.receive({ timeoutMs: 20_000 });
      assert.equal(index, next[who]!++);
    }
    await Promise.all(publishing);
    assert.deepEqual(next, [200, 200]);
    subscription.close();
    topic.destroy();
  });

  await holds("a publisher waits for a subscriber that blocks, and is woken", async () => {
    const topic = heap.topic<number>("block", { capacity: 2 });
    await mates[0].run(({ heap: shared, keep }) => keep("slow", shared.topic<number>("block").subscribe()));
    await topic.publish(1);
    await topic.publish(2);
    assert.equal(topic.tryPublish(3), false);
    const waiting = topic.publish(3);
    assert.ok(await isPending(waiting));
    assert.equal(await mates[0].run(({ kept }) => kept<Subscription<number>>("slow").tryReceive()), 1);
    await waiting;
    const again = topic.publish(4);
    await mates[0].run(({ kept }) => kept<Subscription<number>>("slow").close());
    await again;
    assert.ok(topic.stats().publishWaits >= 2);
    topic.destroy();
  });

  await holds("one that drops the oldest is overtaken, and knows by how many", async () => {
    const topic = heap.topic<number>("drop", { capacity: 4 });
    await mates[1].run(({ heap: shared, keep }) =>
      keep("hasty", shared.topic<number>("drop").subscribe({ policy: "drop-oldest" })),
    );
    for (let value = 0; value < 10; value++) assert.equal(topic.tryPublish(value), true);
    const got = await mates[1].run(({ kept }) => {
      const subscription = kept<Subscription<number>>("hasty");
      const values: number[] = [];
      for (let value = subscription.tryReceive(); value !== undefined; value = subscription.tryReceive())
        values.push(value);
      return { values, dropped: subscription.dropped, lag: subscription.lag };
    });
    assert.deepEqual(got, { values: [6, 7, 8, 9], dropped: 6, lag: 0 });
    assert.equal(topic.stats().dropped, 6);
    await mates[1].run(({ kept }) => kept<Subscription>("hasty").close());
    topic.destroy();
  });

  await holds("one that is to be disconnected is, when it is in the way", async () => {
    const topic = heap.topic<number>("cut", { capacity: 4 });
    await mates[0].run(({ heap: shared, keep }) =>
      keep("cut", shared.topic<number>("cut").subscribe({ policy: "disconnect" })),
    );
    for (let value = 0; value < 4; value++) assert.equal(topic.tryPublish(value), true);
    assert.equal(topic.stats().disconnected, 0);
    assert.equal(topic.tryPublish(4), true);
    assert.deepEqual(
      topic.stats().subscribers.map(({ policy }) => policy),
      ["disconnected"],
    );
    const received = mates[0].run(({ kept }) => kept<Subscription<number>>("cut").receive());
    await assert.rejects(received, { code: "ERR_SHOAL_DISCONNECTED" });
    await mates[0].run(({ kept }) => kept<Subscription>("cut").close());
    assert.deepEqual(topic.stats().subscribers, []);
    topic.destroy();
  });

  await holds("a late one begins with the last messages", async () => {
    const topic = heap.topic<number>("late", { capacity: 8, history: 3 });
    for (let value = 0; value < 20; value++) topic.tryPublish(value);
    const got = await mates[0].run(({ heap: shared }) => {
      const there = shared.topic<number>("late");
      const late = there.subscribe();
      const now = there.subscribe({ from: "now" });
      there.tryPublish(20);
      const drain = (subscription: Subscription<number>): number[] => {
        const values: number[] = [];
        for (let value = subscription.tryReceive(); value !== undefined; value = subscription.tryReceive())
          values.push(value);
        subscription.close();
        return values;
      };
      return [drain(late), drain(now)];
    });
    assert.deepEqual(got, [[17, 18, 19, 20], [20]]);
    topic.destroy();
  });

  await holds("large messages go through blocks, and none is left", async () => {
    const topic = heap.topic<Uint8Array>("large", { capacity: 4, codec: "raw", messageBytes: 32 });
    const blocks = heap.stats().blocks.used;
    const subscription = topic.subscribe();
    for (let round = 0; round < 20; round++) {
      await mates[round % 2]!.run(async ({ heap: shared }, byte) => {
        await shared.topic<Uint8Array>("large").publish(new Uint8Array(5000).fill(byte));
      }, round);
      const message = await subscription.receive({ timeoutMs: 20_000 });
      assert.deepEqual([message.length, message[0], message[4999]], [5000, round, round]);
    }
    subscription.close();
    topic.destroy();
    assert.equal(heap.stats().blocks.used, blocks - 1);
  });

  await holds("who dies is in nobody's way", async () => {
    const topic = heap.topic<number>("gone", { capacity: 2 });
    const [mate] = mates;
    await mate.run(({ heap: shared, keep }) => keep("gone", shared.topic<number>("gone").subscribe()));
    await topic.publish(1);
    await topic.publish(2);
    const waiting = topic.publish(3, { timeoutMs: 20_000 });
    await mate.kill();
    await waiting;
    assert.deepEqual(topic.stats().subscribers, []);
    topic.destroy();
  });
});

test("a message is read in place, and keeps its place until it is released", (t) => {
  const heap = createFullHeap(t);
  const topic = heap.topic<Uint8Array>("borrow", { capacity: 2, codec: "raw", messageBytes: 64 });
  const subscription = topic.subscribe();
  topic.tryPublish(Uint8Array.of(1));
  topic.tryPublish(new Uint8Array(1000).fill(2));
  const message = subscription.tryBorrow()!;
  assert.deepEqual([...message.bytes], [1]);
  assert.throws(() => subscription.tryReceive(), { code: "ERR_SHOAL_HELD" });
  assert.equal(topic.tryPublish(Uint8Array.of(3)), false);
  message.release();
  assert.equal(topic.tryPublish(Uint8Array.of(3)), true);
  const large = subscription.borrow();
  assert.equal(large.bytes.length, 1000);
  assert.deepEqual(large.value, new Uint8Array(1000).fill(2));
  large.release();
  subscription.borrow().giveBack();
  assert.deepEqual(subscription.receiveSync(), Uint8Array.of(3));
  assert.equal(subscription.tryBorrow(), undefined);
  const hasty = topic.subscribe({ policy: "drop-oldest" });
  assert.throws(() => hasty.tryBorrow(), { code: "ERR_SHOAL_ARGUMENT" });
});

test("a message is written in place", (t) => {
  const topic = createFullHeap(t).topic<Uint8Array>("loan", { capacity: 2, codec: "raw", messageBytes: 16 });
  const subscription = topic.subscribe();
  for (const length of [8, 800, 8]) {
    const loan = topic.tryReserve(length)!;
    loan.bytes.fill(length & 255);
    loan.commit();
    assert.deepEqual(subscription.tryReceive(), new Uint8Array(length).fill(length & 255));
  }
  topic.tryReserve(500)!.cancel();
  topic.tryPublish(Uint8Array.of(9));
  assert.deepEqual(subscription.tryReceive(), Uint8Array.of(9));
  assert.deepEqual([topic.stats().skipped, topic.stats().subscribers[0]!.skipped], [1, 1]);
});

test("what a topic is made with is checked, and compared by who finds it", (t) => {
  const heap = createFullHeap(t);
  assert.throws(() => heap.topic("x", { history: 4, capacity: 4 }), { code: "ERR_SHOAL_ARGUMENT" });
  assert.throws(() => heap.topic("x", { subscribers: 0 }), { code: "ERR_SHOAL_ARGUMENT" });
  const topic = heap.topic("x", { history: 2, subscribers: 1, capacity: 4 });
  assert.deepEqual([topic.created, topic.capacity, topic.history], [true, 4, 2]);
  const again = openFullHeap(t, heap);
  assert.equal(again.topic("x").history, 2);
  assert.throws(() => again.topic("x", { history: 3 }), { code: "ERR_SHOAL_KIND" });
  assert.throws(() => again.topic("x", { subscribers: 2 }), { code: "ERR_SHOAL_KIND" });
  assert.throws(() => again.queue("x"), { code: "ERR_SHOAL_KIND" });
  assert.throws(() => topic.subscribe({ policy: "toString" as "block" }), { code: "ERR_SHOAL_ARGUMENT" });
  const only = topic.subscribe();
  assert.throws(() => topic.subscribe(), { code: "ERR_SHOAL_FULL" });
  only.close();
  assert.throws(() => only.tryReceive(), { code: "ERR_SHOAL_NOT_HOLDER" });
  topic.subscribe().close();
  assert.equal(heap.topic("long", { history: 3000 }).capacity, 4096);
});

test("closing ends what is awaited; so does the topic's end", async (t) => {
  const topic = createFullHeap(t).topic("ends");
  const one = topic.subscribe();
  const other = topic.subscribe();
  const loop = async (): Promise<string> => {
    for await (const message of one) assert.fail(`there is ${String(message)}`);
    return "over";
  };
  const looping = loop();
  const waiting = other.receive();
  assert.ok(await isPending(waiting, 10));
  one.close();
  assert.equal(await looping, "over");
  topic.end();
  await rejectsCode(waiting, "ERR_SHOAL_ENDED");
  await rejectsCode(other.receive({ timeoutMs: 0 }), "ERR_SHOAL_ENDED");
});
