/**
 * Tells whether an address is one of the public internet, so that what somebody configures leads to nothing within the network.
 *
 * @since 0.2.0
 */
import { lookup as resolve } from "node:dns"
import { BlockList, isIP, type LookupFunction } from "node:net"

// A list of both would take every IPv4 address for one that is mapped into IPv6.
const [special, specialOf6] = [new BlockList(), new BlockList()]

for (
  const [network, prefix] of [
    ["0.0.0.0", 8],
    ["10.0.0.0", 8],
    ["100.64.0.0", 10],
    ["127.0.0.0", 8],
    ["169.254.0.0", 16],
    ["172.16.0.0", 12],
    ["192.0.0.0", 24],
    ["192.0.2.0", 24],
    ["192.88.99.0", 24],
    ["192.168.0.0", 16],
    ["198.18.0.0", 15],
    ["198.51.100.0", 24],
    ["203.0.113.0", 24],
    ["224.0.0.0", 3]
  ] as const
) {
  special.addSubnet(network, prefix)
}

// Also what carries an IPv4 address within: mapped, compatible, translated (NAT64), 6to4 and Teredo.
for (
  const [network, prefix] of [
    ["::", 96],
    ["::ffff:0:0", 96],
    ["64:ff9b::", 96],
    ["64:ff9b:1::", 48],
    ["100::", 64],
    ["2001::", 23],
    ["2001:db8::", 32],
    ["2002::", 16],
    ["fc00::", 7],
    ["fe80::", 9],
    ["ff00::", 8]
  ] as const
) {
  specialOf6.addSubnet(network, prefix, "ipv6")
}

/**
 * Tells whether an IP address is one of the public internet; a text that is no address is not.
 *
 * @category predicates
 * @since 0.2.0
 */
export const isPublic = (address: string): boolean => {
  const family = isIP(address)
  if (family === 0) return false
  return family === 6 ? !specialOf6.check(address, "ipv6") : !special.check(address)
}

/**
 * The host of a URL as an IP address; none where it is a name.
 *
 * @category getters
 * @since 0.2.0
 */
export const literalOf = ({ hostname }: URL): string | undefined => {
  const host = hostname.replace(/^\[|\]$/g, "")
  return isIP(host) === 0 ? undefined : host
}

/**
 * The code of the error of a name that leads to an address which is not public.
 *
 * @category constants
 * @since 0.2.0
 */
export const refusedCode = "EPRIVATE"

/**
 * Looks a name up as node does, and refuses it where any of its addresses is not public. It is asked when the connection is made, so
 * that a name cannot be public when it is checked and private when it is used.
 *
 * @category lookups
 * @since 0.2.0
 */
export const lookup: LookupFunction = (hostname, options, callback) => {
  resolve(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, "", 0)
    const [first] = addresses
    if (first === undefined || addresses.some(({ address }) => !isPublic(address))) {
      return callback(Object.assign(new Error("not a public address"), { code: refusedCode }), "", 0)
    }
    return options.all === true ? callback(null, addresses) : callback(null, first.address, first.family)
  })
}
