# Groups can be given to a network load balancer only when it is made.
resource "aws_security_group" "nlb" {
  name        = "${var.name_prefix}-nlb-sg"
  description = "Load balancer for devices"
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-nlb" }
}

resource "aws_lb" "iot_nlb" {
  # checkov:skip=CKV_AWS_91: AWS logs TLS listeners only; TLS ends in Mosquitto, which logs connections

  name               = "nlb-${var.name_prefix}-iot"
  load_balancer_type = "network"
  internal           = false
  subnets            = var.subnet_ids
  security_groups    = [aws_security_group.nlb.id]

  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.deletion_protection
}

# TCP passes through: TLS ends in Mosquitto.
resource "aws_lb_target_group" "ecs_broker" {
  for_each = { for port in var.ports : tostring(port) => port }

  # The document's name for the port with TLS; a second one where plain MQTT is allowed.
  name        = each.value == 8883 ? "tg-${var.name_prefix}-ecs-broker" : "tg-${var.name_prefix}-ecs-mqtt"
  target_type = "ip"
  protocol    = "TCP"
  port        = each.value
  vpc_id      = var.vpc_id

  deregistration_delay   = 60 # seconds; a stopping broker turns its devices away itself
  connection_termination = true
  preserve_client_ip     = false # the broker lets in the load balancer's group, not addresses

  health_check {
    protocol            = "TCP"
    port                = "traffic-port"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "tcp" {
  for_each = aws_lb_target_group.ecs_broker

  load_balancer_arn = aws_lb.iot_nlb.arn
  protocol          = "TCP"
  port              = each.value.port
  # A device's keep-alive must be shorter than this many seconds.
  tcp_idle_timeout_seconds = 350

  default_action {
    type             = "forward"
    target_group_arn = each.value.arn
  }
}
