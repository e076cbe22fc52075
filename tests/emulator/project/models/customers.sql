{{ config(materialized='table', grants={'select': ['READER']}) }}

select customer, count(*) as orders, sum(amount) as spent, min(ordered_at)::date as first_order
from {{ ref('stg_orders') }}
group by customer
