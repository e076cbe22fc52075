-- One row per order, with what it brought in.
with charges as (
    select order_id, sum(amount) as amount
    from {{ ref('stg_payments') }}
    where kind = 'charge'
    group by order_id
),

refunds as (
    select order_id, sum(amount) as amount
    from {{ ref('stg_payments') }}
    where kind = 'refund'
    group by order_id
)

select
    orders.order_id,
    orders.customer_id,
    orders.ordered_on,
    orders.status,
    cast(coalesce(charges.amount, 0) - coalesce(refunds.amount, 0) as decimal(12, 2)) as total
from {{ ref('stg_orders') }} as orders
left join charges on orders.order_id = charges.order_id
left join refunds on orders.order_id = refunds.order_id
