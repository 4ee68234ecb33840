"""How an account sends, for work that no key of it asks for."""

from uuid import UUID

from semalink.application.campaign_checking import SendingTerms
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink.domain.price_list import OWN_TERMS, PriceList, Terms
from semalink_adapters.postgres.queries import Queries

SELECT_TERMS = """
SELECT a.billing_account_id,
       ARRAY(SELECT s.sender FROM approved_senders AS s WHERE s.account_id = a.account_id),
       (SELECT json_object_agg(s.sender, s.opt_out_text) FROM approved_senders AS s
        WHERE s.account_id = a.account_id AND EXISTS (
            SELECT FROM approved_senders AS o
            WHERE lower(o.sender) = lower(s.sender) AND o.class = 'promotional')),
       CASE WHEN p.account_id <> a.account_id THEN p.price_list END,
       COALESCE(a.refunded_on, p.refunded_on)
FROM accounts AS a JOIN accounts AS p ON p.account_id = a.billing_account_id
WHERE a.account_id = %s"""

_NOTHING = SendingTerms(frozenset(), {}, OWN_TERMS)


class PostgresAccountTerms(Queries):
    """Each call raises ReadsUnavailable while the database is away."""

    async def sending_terms(self, account_id: UUID) -> SendingTerms:
        """Return the sender ids of an account, and what it pays by."""
        for payer_id, senders, promotional, prices, refunded_on in await self._all(
            SELECT_TERMS, (account_id,)
        ):
            rule = None if refunded_on is None else tuple(refunded_on)
            terms = Terms(refunded_on=rule)
            if prices is not None:
                payer = format_id(ACCOUNT_PREFIX, payer_id)
                terms = Terms(PriceList.from_mapping(prices), payer, rule)
            return SendingTerms(frozenset(senders), promotional or {}, terms)
        return _NOTHING
