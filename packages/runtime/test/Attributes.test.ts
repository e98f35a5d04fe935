import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Attributes, Provider, Tenant } from "@waybill/core"
import { Schema } from "effect"

describe("pick", () => {
  it("keeps what is on the list and leaves out the rest", () => {
    const given = {
      tenant_id: Tenant.TenantId.make("acme"),
      provider: Provider.Provider.make("postmark"),
      linked: 2,
      recipient: "ann@example.com"
    }
    assert.deepStrictEqual(Attributes.pick(given), { tenant_id: "acme", provider: "postmark", linked: 2 })
  })

  it("leaves out a tenant whose id may be an address", () => {
    assert.deepStrictEqual(Attributes.pick({ tenant_id: Tenant.TenantId.make("ann@example.com"), linked: 2 }), {
      linked: 2
    })
  })

  it("takes no plain text", () => {
    type Given = Parameters<typeof Attributes.pick>[0]
    expectTypeOf<{ provider: string }>().not.toExtend<Given>()
    expectTypeOf<{ tenant_id: string }>().not.toExtend<Given>()
    expectTypeOf<{ schedule: string }>().not.toExtend<Given>()
    expectTypeOf<{ event_type: string }>().not.toExtend<Given>()
    expectTypeOf<{ outcome: string }>().not.toExtend<Given>()
    expectTypeOf<{ linked: string }>().not.toExtend<Given>()
    expectTypeOf<{ linked: number }>().toExtend<Given>()
    expectTypeOf<Given>().not.toHaveProperty("recipient")
    expectTypeOf<Given>().toHaveProperty("linked")
  })
})

describe("Name", () => {
  it("takes the names that operators give, and no address", () => {
    const isName = Schema.is(Attributes.Name)
    assert.isTrue(["reconcile by hand", "node-1", "host.example:8080", "A_b"].every(isName))
    assert.isFalse(["ann@example.com", "<ann>", "", " lead", "two\nlines", "n".repeat(129)].some(isName))
  })
})
