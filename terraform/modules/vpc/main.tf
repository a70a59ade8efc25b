locals {
  zones = {
    for index, zone in var.availability_zones : "az${index + 1}" => { name = zone, index = index }
  }
}

resource "aws_vpc" "main" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # endpoints, EFS and Cloud Map are found by name

  tags = { Name = "vpc-${var.name_prefix}" }
}

# Whatever names no group of its own would get this one: it lets nothing in and nothing out.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "sg-${var.name_prefix}-default" }
}

resource "aws_internet_gateway" "main" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "igw-${var.name_prefix}" }
}

# 10.0.1.0/24, 10.0.2.0/24, … for the load balancers.
resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id                  = aws_vpc.main.id
  availability_zone       = each.value.name
  cidr_block              = cidrsubnet(var.vpc_cidr, 8, each.value.index + 1)
  map_public_ip_on_launch = false # load balancers bring addresses of their own

  tags = { Name = "subnet-${var.name_prefix}-public-${each.key}" }
}

# 10.0.10.0/24, 10.0.11.0/24, … for everything else.
resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id            = aws_vpc.main.id
  availability_zone = each.value.name
  cidr_block        = cidrsubnet(var.vpc_cidr, 8, each.value.index + 10)

  tags = { Name = "subnet-${var.name_prefix}-private-${each.key}" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.main.id

  tags = { Name = "rt-${var.name_prefix}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.main.id
}

resource "aws_route_table_association" "public" {
  for_each = aws_subnet.public

  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

# One a zone: with NAT each leads to the gateway of its own zone.
resource "aws_route_table" "private" {
  for_each = local.zones

  vpc_id = aws_vpc.main.id

  tags = { Name = "rt-${var.name_prefix}-private-${each.key}" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}
