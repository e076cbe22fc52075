-- What did the shop earn each month?
select
    strftime(day, '%Y-%m') as month,
    cast(sum(orders) as integer) as orders,
    cast(sum(revenue) as decimal(12, 2)) as revenue
from analytics.daily_revenue
group by month
order by month
