-- The payment provider sends every amount as a positive number of cents; `kind` says whether the
-- money came in (charge) or went back (refund).
select
    id as payment_id,
    order_id,
    kind,
    cast(amount_cents / 100 as decimal(10, 2)) as amount,
    paid_on
from {{ ref('raw_payments') }}
