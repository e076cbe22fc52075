-- One row per customer, with what they are worth to the shop.
with spending as (
    select
        customer_id,
        count(*) as orders,
        min(ordered_on) as first_order_on,
        sum(total) as lifetime_value
    from {{ ref('orders') }}
    group by customer_id
)

select
    customers.customer_id,
    customers.name,
    customers.city,
    spending.first_order_on,
    cast(coalesce(spending.orders, 0) as integer) as orders,
    cast(coalesce(spending.lifetime_value, 0) as decimal(12, 2)) as lifetime_value
from {{ ref('stg_customers') }} as customers
left join spending on customers.customer_id = spending.customer_id
