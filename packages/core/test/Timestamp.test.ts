import { assert, describe, it } from "@effect/vitest"
import { Cursor, Timestamp } from "@waybill/core"
import { DateTime, Duration, Schema } from "effect"

const isTimestamp = Schema.is(Schema.toType(Timestamp.Timestamp))

describe("a timestamp", () => {
  it("lies in the years 1 to 9999", () => {
    for (const text of ["0001-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"]) {
      const at = DateTime.makeUnsafe(text)
      assert.isTrue(isTimestamp(at))
      assert.isFalse(isTimestamp(DateTime.makeUnsafe(at.epochMilliseconds - 1)) && text.startsWith("0001"))
      assert.isFalse(isTimestamp(DateTime.makeUnsafe(at.epochMilliseconds + 1)) && text.startsWith("9999"))
      assert.strictEqual(Schema.encodeSync(Timestamp.Timestamp)(at), text)
      assert.strictEqual(Schema.decodeSync(Timestamp.Timestamp)(text).epochMilliseconds, at.epochMilliseconds)
    }
  })

  it("has whole milliseconds", () => {
    assert.strictEqual(DateTime.makeUnsafe(1.9).epochMilliseconds, 1)
    for (const millis of [0.25, 0.999, 1.5]) {
      assert.isFalse(isTimestamp(DateTime.addDuration(DateTime.makeUnsafe(0), Duration.millis(millis))))
    }
    assert.isTrue(isTimestamp(DateTime.addDuration(DateTime.makeUnsafe(0), Duration.millis(2))))
    const precise = Schema.decodeSync(Timestamp.Timestamp)("2026-03-01T12:00:00.1234567Z")
    assert.strictEqual(Schema.encodeSync(Timestamp.Timestamp)(precise), "2026-03-01T12:00:00.123Z")
  })

  it("is nothing that is no instant", () => {
    const decode = Schema.decodeUnknownOption(Timestamp.Timestamp)
    for (const text of ["", "tomorrow", "0000-12-31T23:59:59Z", "+010000-01-01T00:00:00Z", 0, null]) {
      assert.strictEqual(decode(text)._tag, "None", String(text))
    }
  })
})

describe("a cursor", () => {
  it("is a place that PostgreSQL can hold", () => {
    const isCursor = Schema.is(Cursor.Cursor)
    const last = Cursor.of(2n ** 64n - 1n, 2n ** 63n - 1n)
    for (const cursor of [Cursor.start, last]) assert.isTrue(isCursor(cursor))
    assert.deepStrictEqual(Cursor.parts(last), [2n ** 64n - 1n, 2n ** 63n - 1n])
    for (const text of ["", "1", "1.", ".1", "-1.0", "1.0 ", `${2n ** 64n}.0`, `0.${2n ** 63n}`]) {
      assert.isFalse(isCursor(text), text)
    }
  })

  it("leaves out the epoch of a ledger that never moved", () => {
    assert.strictEqual(Cursor.of(7n, 3n), "7.3")
    assert.strictEqual(Cursor.epoch(Cursor.of(7n, 3n)), 0)
    const later = Cursor.of(7n, 3n, 29_930_255)
    assert.strictEqual(later, "29930255.7.3")
    assert.deepStrictEqual([Cursor.epoch(later), ...Cursor.parts(later)], [29_930_255, 7n, 3n])
    for (const text of ["0.7.3", "01.7.3", "1.7.3.1", `${2n ** 31n}.7.3`]) {
      assert.isFalse(Schema.is(Cursor.Cursor)(text), text)
    }
  })
})
