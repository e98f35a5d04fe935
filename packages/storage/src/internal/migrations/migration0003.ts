/**
 * The statements by which recipients and message ids are compared in the canonical form of the core, whoever writes a row.
 *
 * An address that only an orphan named is not stored, so that its digest cannot be made again: such an orphan meets its delivery
 * only where the address was spelt in its canonical form, or as a delivery of the tenant has it.
 */

/** Whose lower case is another letter, by Unicode 17: from, to, in steps of, and how far the lower case is from it. */
const upperLetters = `
  (192,214,1,32), (216,222,1,32), (256,302,2,1), (306,310,2,1), (313,327,2,1), (330,374,2,1), (376,376,1,-121),
  (377,381,2,1), (385,385,1,210), (386,388,2,1), (390,390,1,206), (391,391,1,1), (393,394,1,205), (395,395,1,1),
  (398,398,1,79), (399,399,1,202), (400,400,1,203), (401,401,1,1), (403,403,1,205), (404,404,1,207), (406,406,1,211),
  (407,407,1,209), (408,408,1,1), (412,412,1,211), (413,413,1,213), (415,415,1,214), (416,420,2,1), (422,422,1,218),
  (423,423,1,1), (425,425,1,218), (428,428,1,1), (430,430,1,218), (431,431,1,1), (433,434,1,217), (435,437,2,1),
  (439,439,1,219), (440,440,1,1), (444,444,1,1), (452,452,1,2), (453,453,1,1), (455,455,1,2), (456,456,1,1),
  (458,458,1,2), (459,475,2,1), (478,494,2,1), (497,497,1,2), (498,500,2,1), (502,502,1,-97), (503,503,1,-56),
  (504,542,2,1), (544,544,1,-130), (546,562,2,1), (570,570,1,10795), (571,571,1,1), (573,573,1,-163),
  (574,574,1,10792), (577,577,1,1), (579,579,1,-195), (580,580,1,69), (581,581,1,71), (582,590,2,1), (880,882,2,1),
  (886,886,1,1), (895,895,1,116), (902,902,1,38), (904,906,1,37), (908,908,1,64), (910,911,1,63), (913,929,1,32),
  (931,939,1,32), (975,975,1,8), (984,1006,2,1), (1012,1012,1,-60), (1015,1015,1,1), (1017,1017,1,-7),
  (1018,1018,1,1), (1021,1023,1,-130), (1024,1039,1,80), (1040,1071,1,32), (1120,1152,2,1), (1162,1214,2,1),
  (1216,1216,1,15), (1217,1229,2,1), (1232,1326,2,1), (1329,1366,1,48), (4256,4293,1,7264), (4295,4295,1,7264),
  (4301,4301,1,7264), (5024,5103,1,38864), (5104,5109,1,8), (7305,7305,1,1), (7312,7354,1,-3008),
  (7357,7359,1,-3008), (7680,7828,2,1), (7838,7838,1,-7615), (7840,7934,2,1), (7944,7951,1,-8), (7960,7965,1,-8),
  (7976,7983,1,-8), (7992,7999,1,-8), (8008,8013,1,-8), (8025,8031,2,-8), (8040,8047,1,-8), (8072,8079,1,-8),
  (8088,8095,1,-8), (8104,8111,1,-8), (8120,8121,1,-8), (8122,8123,1,-74), (8124,8124,1,-9), (8136,8139,1,-86),
  (8140,8140,1,-9), (8152,8153,1,-8), (8154,8155,1,-100), (8168,8169,1,-8), (8170,8171,1,-112), (8172,8172,1,-7),
  (8184,8185,1,-128), (8186,8187,1,-126), (8188,8188,1,-9), (8486,8486,1,-7517), (8490,8490,1,-8383),
  (8491,8491,1,-8262), (8498,8498,1,28), (8544,8559,1,16), (8579,8579,1,1), (9398,9423,1,26), (11264,11311,1,48),
  (11360,11360,1,1), (11362,11362,1,-10743), (11363,11363,1,-3814), (11364,11364,1,-10727), (11367,11371,2,1),
  (11373,11373,1,-10780), (11374,11374,1,-10749), (11375,11375,1,-10783), (11376,11376,1,-10782), (11378,11378,1,1),
  (11381,11381,1,1), (11390,11391,1,-10815), (11392,11490,2,1), (11499,11501,2,1), (11506,11506,1,1),
  (42560,42604,2,1), (42624,42650,2,1), (42786,42798,2,1), (42802,42862,2,1), (42873,42875,2,1),
  (42877,42877,1,-35332), (42878,42886,2,1), (42891,42891,1,1), (42893,42893,1,-42280), (42896,42898,2,1),
  (42902,42920,2,1), (42922,42922,1,-42308), (42923,42923,1,-42319), (42924,42924,1,-42315), (42925,42925,1,-42305),
  (42926,42926,1,-42308), (42928,42928,1,-42258), (42929,42929,1,-42282), (42930,42930,1,-42261),
  (42931,42931,1,928), (42932,42946,2,1), (42948,42948,1,-48), (42949,42949,1,-42307), (42950,42950,1,-35384),
  (42951,42953,2,1), (42955,42955,1,-42343), (42956,42970,2,1), (42972,42972,1,-42561), (42997,42997,1,1),
  (65313,65338,1,32), (66560,66599,1,40), (66736,66771,1,40), (66928,66938,1,39), (66940,66954,1,39),
  (66956,66962,1,39), (66964,66965,1,39), (68736,68786,1,64), (68944,68965,1,32), (71840,71871,1,32),
  (93760,93791,1,32), (93856,93880,1,27), (125184,125217,1,34)
`

/** What a domain name may hold and does not count. */
const ignored = [0xad, 0x34f, 0x180b, 0x180c, 0x180d, 0x180f, 0x200b, 0x2060, 0x2064, 0xfeff].concat(
  Array.from({ length: 16 }, (_, index) => 0xfe00 + index)
)

const uuidAtHost = "^([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})@.+$"

const printable = (column: string, length: number): string =>
  `${column} ~ '^[\\x21-\\x7e]+$' AND length(${column}) <= ${length}`

/** The statements that bring comparisons and stored digests to the canonical form in a schema, whose name is quoted. */
export const statements = (schema: string): ReadonlyArray<string> => [
  // The letters that have a lower case, or their lower cases in the same order: the database's collation has no say in it.
  `CREATE FUNCTION ${schema}.letters(lower_case boolean) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(chr(letter + CASE WHEN lower_case THEN away ELSE 0 END), '' ORDER BY letter)
    FROM (VALUES ${upperLetters}) AS ranges (first, last, step, away), generate_series(first, last, step) AS letter
  $$`,
  // Recipient.canonical of the core, of any address. Where the encoding of the database is not UTF-8, only the case of A to Z
  // is left out.
  `CREATE FUNCTION ${schema}.canonical_address(address text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    host text := substring(address FROM '[^@]*$');
    mailbox text := left(address, length(address) - length(host));
    ignored text;
    mapped text;
    labels text[] := '{}';
    label text;
    codes integer[];
    encoded text;
    code integer;
    basic integer;
    handled integer;
    reached integer;
    following integer;
    delta bigint;
    bias integer;
    rest bigint;
    place integer;
    lowest integer;
  BEGIN
    IF current_setting('server_encoding') <> 'UTF8' THEN RETURN lower(rtrim(address, '.') COLLATE "C"); END IF;
    ignored := ${ignored.map((code) => `chr(${code})`).join("||")};
    mailbox := normalize(mailbox, NFC);
    mailbox := translate(replace(mailbox, chr(304), 'i' || chr(775)), ${schema}.letters(false), ${schema}.letters(true));
    mailbox := replace(normalize(lower(mailbox COLLATE "C"), NFC), chr(962), chr(963));
    mapped := translate(normalize(host, NFKC), ignored, '');
    mapped := translate(replace(mapped, chr(304), 'i' || chr(775)), ${schema}.letters(false), ${schema}.letters(true));
    mapped := replace(normalize(lower(mapped COLLATE "C"), NFKC), chr(12290), '.');
    mapped := coalesce(nullif(rtrim(mapped, '.'), ''), nullif(mapped, ''),
      lower(translate(replace(host, chr(304), 'i' || chr(775)), ${schema}.letters(false), ${schema}.letters(true)) COLLATE "C"));
    FOREACH label IN ARRAY string_to_array(mapped, '.') LOOP
      IF octet_length(label) > length(label) THEN
        SELECT array_agg(ascii(letter) ORDER BY n), coalesce(string_agg(letter, '' ORDER BY n) FILTER (WHERE ascii(letter) < 128), '')
        INTO codes, encoded FROM unnest(string_to_array(label, NULL)) WITH ORDINALITY AS letters (letter, n);
        basic := length(encoded);
        encoded := 'xn--' || encoded || CASE WHEN basic > 0 THEN '-' ELSE '' END;
        handled := basic;
        reached := 128;
        delta := 0;
        bias := 72;
        WHILE handled < cardinality(codes) LOOP
          SELECT min(known) INTO following FROM unnest(codes) AS known WHERE known >= reached;
          delta := delta + (following - reached)::bigint * (handled + 1);
          FOREACH code IN ARRAY codes LOOP
            IF code < following THEN delta := delta + 1; END IF;
            CONTINUE WHEN code <> following;
            rest := delta;
            place := 36;
            LOOP
              lowest := least(greatest(place - bias, 1), 26);
              EXIT WHEN rest < lowest;
              encoded := encoded
                || substr('abcdefghijklmnopqrstuvwxyz0123456789', (1 + lowest + (rest - lowest) % (36 - lowest))::integer, 1);
              rest := (rest - lowest) / (36 - lowest);
              place := place + 36;
            END LOOP;
            encoded := encoded || substr('abcdefghijklmnopqrstuvwxyz0123456789', (1 + rest)::integer, 1);
            rest := delta / CASE WHEN handled = basic THEN 700 ELSE 2 END;
            rest := rest + rest / (handled + 1);
            bias := 0;
            WHILE rest > 455 LOOP
              rest := rest / 35;
              bias := bias + 36;
            END LOOP;
            bias := bias + (36 * rest / (rest + 38))::integer;
            delta := 0;
            handled := handled + 1;
          END LOOP;
          delta := delta + 1;
          reached := following + 1;
        END LOOP;
        label := encoded;
      END IF;
      labels := labels || label;
    END LOOP;
    RETURN mailbox || array_to_string(labels, '.');
  END $$`,
  // An ASCII address, as nearly all are, costs no more than its lower case: this is inlined where it is called.
  `CREATE FUNCTION ${schema}.canonical_recipient(address text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN octet_length(address) = char_length(address) AND right(address, 1) <> '.'
      THEN lower(address COLLATE "C") ELSE ${schema}.canonical_address(address) END`,
  `GRANT EXECUTE ON FUNCTION ${schema}.letters, ${schema}.canonical_address, ${schema}.canonical_recipient TO PUBLIC`,
  `CREATE OR REPLACE FUNCTION ${schema}.recipient_digest(tenant text, address text) RETURNS bytea
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  DECLARE
    tenant_key bytea;
  BEGIN
    IF address IS NULL THEN RETURN NULL; END IF;
    SELECT sha256(secret || convert_to(tenant, 'UTF8')) INTO tenant_key FROM ${schema}.secrets;
    RETURN sha256(tenant_key || sha256(tenant_key || convert_to(${schema}.canonical_recipient(address), 'UTF8')));
  END $$`,
  // Provider.canonicalMessageId of the core.
  `CREATE OR REPLACE FUNCTION ${schema}.canonical_message_id(provider text, raw text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
  DECLARE
    id text := raw;
    bare text;
  BEGIN
    LOOP
      WHILE id ~ '^[ \\t\\r\\n]|[ \\t\\r\\n]$|^<.+>$' LOOP
        id := regexp_replace(btrim(id, E' \\t\\r\\n'), '^<(.+)>$', '\\1');
      END LOOP;
      bare := id;
      id := regexp_replace(id, CASE provider
        WHEN 'ses' THEN '^(.+)@(?:[0-9A-Za-z-]+\\.)*amazonses\\.com$'
        WHEN 'sendgrid' THEN '^(.+)@(?:geopod-)?ismtpd[0-9A-Za-z.-]*$'
        WHEN 'postmark' THEN '${uuidAtHost}'
        WHEN 'resend' THEN '${uuidAtHost}'
        ELSE '^(.*)$'
      END, '\\1');
      IF provider = 'sendgrid' THEN
        id := CASE
          WHEN id LIKE 'filter%' THEN ''
          WHEN id ~ '^.+?\\.(?:filter|recvd)' THEN substring(id FROM '^(.+?)\\.(?:filter|recvd)')
          WHEN substr(id, 23, 1) = '.' THEN left(id, 22)
          ELSE id
        END;
      END IF;
      IF id IS NOT DISTINCT FROM bare THEN RETURN nullif(id, ''); END IF;
    END LOOP;
  END $$`,
  `CREATE OR REPLACE FUNCTION ${schema}.complete_delivery() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  BEGIN
    NEW.provider_message_id :=
      coalesce(${schema}.canonical_message_id(NEW.provider, NEW.provider_message_id), NEW.provider_message_id);
    IF NOT (${printable("NEW.tenant_id", 255)} AND NEW.tenant_id <> '*') THEN
      RAISE EXCEPTION 'not a tenant id' USING ERRCODE = 'check_violation', COLUMN = 'tenant_id';
    ELSIF NOT NEW.provider ~ '^[a-z][a-z0-9_-]{0,63}$' THEN
      RAISE EXCEPTION 'not a provider' USING ERRCODE = 'check_violation', COLUMN = 'provider';
    ELSIF NOT (${printable("NEW.provider_message_id", 512)}) THEN
      RAISE EXCEPTION 'not a message id' USING ERRCODE = 'check_violation', COLUMN = 'provider_message_id';
    ELSIF NOT (${printable("NEW.idempotency_key", 512)}) THEN
      RAISE EXCEPTION 'not an idempotency key' USING ERRCODE = 'check_violation', COLUMN = 'idempotency_key';
    END IF;
    IF TG_OP = 'INSERT' OR (NEW.tenant_id, NEW.recipient) IS DISTINCT FROM (OLD.tenant_id, OLD.recipient) THEN
      NEW.recipient_domain := substring(${schema}.canonical_recipient(NEW.recipient) FROM '[^@]*$');
      NEW.recipient_digest := ${schema}.recipient_digest(NEW.tenant_id, NEW.recipient);
    END IF;
    RETURN NEW;
  END $$`,
  // The digests of addresses that deliveries have, first where the ledger knows them by pseudonyms.
  `UPDATE ${schema}.recipients r SET digest = respelt.canonical
  FROM (
    SELECT DISTINCT tenant_id, recipient_digest AS digest,
      ${schema}.recipient_digest(tenant_id, recipient) AS canonical
    FROM ${schema}.deliveries WHERE ${schema}.canonical_recipient(recipient) <> lower(recipient COLLATE "C")
  ) respelt
  WHERE r.tenant_id = respelt.tenant_id AND r.digest = respelt.digest`,
  `UPDATE ${schema}.orphans o SET recipient_digest = r.digest
  FROM ${schema}.events e
  JOIN ${schema}.recipients r ON r.tenant_id = e.tenant_id AND r.pseudonym = e.recipient_pseudonym
  WHERE e.id = o.event_id AND o.recipient_digest <> r.digest AND o.recipient_digest <> ''`,
  // The triggers meet what waits for a delivery under its canonical names. Where two deliveries of one message are to two
  // spellings of one recipient, the older is the one that is met, and the other stays as it is.
  `DO $$
  DECLARE
    d record;
  BEGIN
    FOR d IN SELECT tenant_id, id FROM ${schema}.deliveries
      WHERE ${schema}.canonical_recipient(recipient) <> lower(recipient COLLATE "C")
        OR ${schema}.canonical_message_id(provider, provider_message_id) <> provider_message_id
      ORDER BY inserted_at, id
    LOOP
      BEGIN
        UPDATE ${schema}.deliveries SET
          recipient = recipient,
          recipient_domain = substring(${schema}.canonical_recipient(recipient) FROM '[^@]*$'),
          recipient_digest = ${schema}.recipient_digest(tenant_id, recipient),
          provider_message_id = provider_message_id
        WHERE tenant_id = d.tenant_id AND id = d.id;
      EXCEPTION WHEN unique_violation THEN
        NULL;
      END;
    END LOOP;
  END $$`
]
