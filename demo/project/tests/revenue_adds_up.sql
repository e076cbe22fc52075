-- The days together earned what the orders together brought in, and no order cost us money.
select 'daily_revenue differs from orders' as problem
where (select sum(revenue) from {{ ref('daily_revenue') }})
    <> (select sum(total) from {{ ref('orders') }})

union all

select 'order ' || order_id || ' has a negative total' as problem
from {{ ref('orders') }}
where total < 0
