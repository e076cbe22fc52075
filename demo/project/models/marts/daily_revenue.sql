-- One row per day with an order.
select
    ordered_on as day,
    cast(count(*) as integer) as orders,
    cast(sum(total) as decimal(12, 2)) as revenue
from {{ ref('orders') }}
group by ordered_on
