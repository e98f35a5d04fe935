import { assert, describe, it } from "@effect/vitest"
import { Provider, Tenant } from "@waybill/core"
import { Attributes } from "@waybill/runtime"
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
    const address: string = "ann@example.com"
    // @ts-expect-error no text is a provider
    Attributes.pick({ provider: address })
    // @ts-expect-error no text is a tenant
    Attributes.pick({ tenant_id: address })
    // @ts-expect-error no text is a name
    Attributes.pick({ schedule: address })
    // @ts-expect-error no text is an event's type
    Attributes.pick({ event_type: address })
    // @ts-expect-error no text is an outcome
    Attributes.pick({ outcome: address })
    // @ts-expect-error no text is a count
    Attributes.pick({ linked: address })
    // @ts-expect-error nothing else is on the list
    Attributes.pick({ recipient: address })
  })
})

describe("Name", () => {
  it("takes the names that operators give, and no address", () => {
    const isName = Schema.is(Attributes.Name)
    assert.isTrue(["reconcile by hand", "node-1", "host.example:8080", "A_b"].every(isName))
    assert.isFalse(["ann@example.com", "<ann>", "", " lead", "two\nlines", "n".repeat(129)].some(isName))
  })
})
