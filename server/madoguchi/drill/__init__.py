"""The drill 停止訓練: a channel is suspended on a desk of its own, with people that do not exist."""
