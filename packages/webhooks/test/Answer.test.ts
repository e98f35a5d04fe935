import { assert, describe, it } from "@effect/vitest"
import { Answer, Providers, SnsCertificates, Webhook } from "@waybill/webhooks"
import { Option } from "effect"

const { Postmark, SendGrid, ...others } = {
  Postmark: Option.getOrThrow(Providers.get("postmark")),
  SendGrid: Option.getOrThrow(Providers.get("sendgrid")),
  Resend: Option.getOrThrow(Providers.get("resend")),
  Ses: Option.getOrThrow(Providers.get("ses")),
  Mailgun: Option.getOrThrow(Providers.get("mailgun"))
}

describe("Answer", () => {
  it.for(["stored", "duplicate", "orphan", "unknown_type", "not_mail", "undecodable"] as const)(
    "accepts what was verified, whatever it says: %s",
    (outcome) => {
      for (const provider of Providers.all) assert.strictEqual(Answer.status(provider, outcome), 200)
    }
  )

  it("refuses so that the provider does not ask again", () => {
    for (const provider of [Postmark, SendGrid, others.Resend, others.Ses]) {
      assert.strictEqual(Answer.status(provider, "refused"), 401)
    }
    assert.strictEqual(Answer.status(others.Mailgun, "refused"), 406)
  })

  it("asks for another attempt where that can mend it", () => {
    for (const provider of Providers.all) {
      assert.strictEqual(Answer.status(provider, "unavailable"), provider.unavailable)
      assert.strictEqual(Answer.status(provider, "misconfigured"), provider.unavailable)
      assert.strictEqual(Answer.status(provider, "too_large"), 413)
      assert.strictEqual(Answer.status(provider, "tenant_unresolved"), 422)
    }
    assert.strictEqual(Answer.unknownProvider, 404)
  })

  it("asks a provider that drops an event at a 5xx by another status", () => {
    const brevo = { refusal: 401, unavailable: 429 } as const
    assert.strictEqual(Answer.status(brevo, "unavailable"), 429)
    assert.strictEqual(Answer.status(brevo, "misconfigured"), 429)
    assert.strictEqual(Answer.status(brevo, "too_large"), 413)
  })

  it("tells a refusal from a fault of ours", () => {
    const url = SnsCertificates.CertificateUrl.make("https://sns.eu-central-1.amazonaws.com/a.pem")
    const cause = new SnsCertificates.CertificateUnavailable({ url })
    for (const reason of Webhook.VerificationReason.literals) {
      const outcome = Answer.ofVerification(new Webhook.VerificationError({ provider: Postmark.name, reason }))
      assert.strictEqual(outcome, reason === "MisconfiguredSecret" ? "misconfigured" : "refused")
    }
    assert.strictEqual(
      Answer.ofVerification(
        new Webhook.VerificationUnavailable({ provider: Postmark.name, issue: cause.message, cause })
      ),
      "unavailable"
    )
  })

  it("has a row for every provider under its name", () => {
    const names = Providers.all.map(({ name }) => String(name))
    assert.includeMembers(names, ["postmark", "sendgrid", "resend", "ses", "mailgun"])
    assert.strictEqual(new Set(names).size, names.length)
    for (const provider of Providers.all) {
      assert.isTrue(Option.contains(Providers.get(provider.name), provider))
      for (const { secrets } of provider.schemes) assert.match(secrets.variable, /^WAYBILL_[A-Z_]+$/)
      assert.notInclude(provider.headers, "authorization")
    }
    assert.isTrue(Option.isNone(Providers.get("constructor")))
  })
})
