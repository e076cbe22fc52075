-- One row per order, with what it brought in.
with payments as (
    -- One pass over the payments instead of one for each kind.
    select order_id, sum(amount) as amount
    from {{ ref('stg_payments') }}
    group by order_id
)

select
    orders.order_id,
    orders.customer_id,
    orders.ordered_on,
    orders.status,
    cast(coalesce(payments.amount, 0) as decimal(12, 2)) as total
from {{ ref('stg_orders') }} as orders
left join payments on orders.order_id = payments.order_id
